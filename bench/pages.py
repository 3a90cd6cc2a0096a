"""Pages as the API sends them: the simulator's tenant, asked with our own queries."""

import msgspec

from ocelog.sources.wiz.streams import ROOTS, SHORT_NAMES
from wizsim.api import Api
from wizsim.world import World

RECORDS = 500
_EVERY_STATUS = ["OPEN", "IN_PROGRESS", "RESOLVED", "REJECTED"]


def pages_of(short: str, *, pages: int) -> list[bytes]:
    """Return the records of so many pages, each a JSON array; `short` is audit, issues or findings."""
    root = ROOTS[SHORT_NAMES[short]]
    size = {"audit": 0, "issues": 0, "findings": 0} | {short: pages * RECORDS}
    tenant = Api(World(seed=3, audit=size["audit"], issues=size["issues"], findings=size["findings"]))
    wanted = {"status": _EVERY_STATUS} if root.kind.statuses else {}
    found: list[bytes] = []
    after = None
    while len(found) < pages:
        answer = tenant.ask(root.document(), {"first": RECORDS, "after": after, "filterBy": wanted})
        connection = answer["data"][root.root]
        found.append(msgspec.json.encode(connection["nodes"]))
        after = connection["pageInfo"]["endCursor"]
    return found
