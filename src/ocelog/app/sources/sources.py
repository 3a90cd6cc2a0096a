"""How sources come, change and go: their ids, their rows, their secrets."""

import re
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ocelog.app.source_settings import SECRET_NAME, source_settings, stream_settings
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation
from ocelog.languages.phrases import Phrase
from ocelog.ledger.sources import half_purged
from ocelog.ledger.vault import KeptSecret, Vault
from ocelog.model import Marks, SourceRow
from ocelog.product import Product, SourceSettings
from ocelog.pull.clock import ApiClock
from ocelog.pull.planner import sweep_wanted
from ocelog.pull.ports import HealthItem, HealthState
from ocelog.secrets.secret import Secret, shown
from ocelog.sources.registry import SOURCES
from ocelog.suggest import suggest

_LONGEST_NAME = 200
_ADDRESS = re.compile(r"\S*://|(?:www|app|api|auth|login)(?:\.[\w-]+){2,}", re.IGNORECASE)
"""What a name begins with that is an address: a scheme, or a host such as `app.wiz.io`."""
_PLAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


class GivenSecret(Struct, frozen=True, kw_only=True):
    """A client secret as a person handed it in."""

    value: Secret
    reference: str | None = None
    """Where it is kept, `file:PATH` or `env:VARIABLE`: then only this is stored."""


def clean_name(text: str) -> str:
    """Return a source's name as it is kept. Raises ConfigError."""
    name = unicodedata.normalize("NFC", text.strip())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ConfigError(
            Phrase("A source's name is one line of 1 to %(longest_name)s characters.", longest_name=_LONGEST_NAME)
        )
    if not name.strip("-"):
        # Elsewhere in the wizard it takes back what was answered.
        raise ConfigError(
            Phrase("%(name)s is not a name: type what you call the tenant in Ocelog, such as prod.", name=repr(name))
        )
    if _ADDRESS.match(name):
        raise ConfigError(
            Phrase(
                "%(name)s looks like an address. A source's name is what you call the tenant in Ocelog, such as prod.",
                name=repr(name),
            )
        )
    return name


def source_id(name: str) -> str:
    """Return the id of the source called `name`: always the same, so that adding it again resumes.

    A plain name is its own id. Any other gets what is plain in it, and a hash that tells it from its like.
    """
    if _PLAIN.fullmatch(name):
        return name
    plain = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:24].strip("-") or "source"
    return f"{plain}-{sha256(name.encode()).hexdigest()[:8]}"


def products() -> Mapping[str, Product]:
    """Return the products that have sources, by name."""
    return SOURCES


def product_of(row: SourceRow) -> Product:
    """Return the product that `row` is a source of. Raises ConfigError."""
    return SOURCES[source_settings(row).product]


def listed(installation: Installation, *, removed: bool = False) -> list[SourceRow]:
    """Return every source, those that were removed only if asked for."""
    return installation.ledger.sources.listed(removed=removed)


def enter_again(installation: Installation) -> list[str]:
    """Return the commands by which the secrets of sources and channels are entered under a new key."""
    return installation.ledger.enter_again()


def secret_kept(installation: Installation, row: SourceRow) -> str | None:
    """Return where the secret of a source is kept, None if there is none."""
    return installation.ledger.sources.secret_kept(row.id, SECRET_NAME)


def find(installation: Installation, name: str, *, removed: bool = False) -> SourceRow:
    """Return the source called `name` (or with that id), a removed one only if asked for.

    Raises ConfigError with the nearest name.
    """
    found = installation.ledger.sources.find(unicodedata.normalize("NFC", name.strip()))
    if found is None or (found.removed_us is not None and not removed):
        known = [row.name for row in installation.ledger.sources.listed()]
        raise ConfigError(
            Phrase(
                "There is no source %(name)s%(known)s",
                name=shown(name),
                known=suggest(name, known) or ". See: ocelog source list",
            )
        )
    return found


def row_of(name: str, settings: SourceSettings, extra: Mapping[str, Any]) -> SourceRow:
    """Return the row of a source. Raises ConfigError if a setting does not hold."""
    row = SourceRow(
        id=source_id(name),
        name=name,
        kind=settings.product,
        settings={settings.product: dict(settings.to_mapping()), **extra},
        added_us=time.time_ns() // 1000,
    )
    stream_settings(row)
    return row


def resumes(installation: Installation, row: SourceRow) -> bool:
    """Whether `row` was removed before, and would go on where it stopped.

    Raises ConfigError if that one read another tenant, or lacks rows whose checkpoints are still there.
    """
    before = installation.ledger.sources.find(row.id)
    if before is None or before.id != row.id or before.removed_us is None:
        return False
    if before.purging:
        raise half_purged(before)
    try:
        same = source_settings(before).is_same_tenant(source_settings(row))
    except ConfigError:
        # Whoever was told that its settings are damaged adds it again by that name.
        same = True
    if not same:
        raise ConfigError(
            Phrase(
                "The removed source %(name)s read another tenant: choose another name, or delete its "
                "rows first: ocelog source remove %(id)s --purge",
                name=repr(row.name),
                id=row.id,
            )
        )
    return True


def twin(installation: Installation, settings: SourceSettings, own_id: str) -> SourceRow | None:
    """Return another source than `own_id` that reads the same tenant with the same client ID, None if none does."""
    for other in installation.ledger.sources.listed():
        if other.id == own_id:
            continue
        try:
            theirs = source_settings(other)
        except ConfigError:
            continue
        if theirs.is_same_account(settings):
            return other
    return None


def refuse_twin(installation: Installation, row: SourceRow) -> None:
    """Raise ConfigError if another source reads the same tenant with the same client ID: each record would be twice."""
    other = twin(installation, source_settings(row), row.id)
    if other is not None:
        raise ConfigError(
            Phrase(
                "The source %(name)s reads this tenant with this client ID already, so each record would "
                "be stored twice. Change that one (ocelog source edit %(id)s), or go on anyway (--anyway).",
                name=repr(other.name),
                id=other.id,
            )
        )


def add(installation: Installation, row: SourceRow, secret: GivenSecret) -> bool:
    """Add a source; True: it was removed before, and goes on where it stopped. Raises ConfigError."""
    goes_on = resumes(installation, row)
    vault = installation.vault()
    installation.ledger.sources.add(row, [kept_secret(vault, row, secret)])
    return goes_on


def begin_purge(installation: Installation, row: SourceRow) -> None:
    """Take `row` out of work for good: until its purge has come to its end, it cannot be added again."""
    installation.ledger.sources.remove(row.id, purging=True)


def kept_secret(vault: Vault, row: SourceRow, secret: GivenSecret) -> KeptSecret:
    """Return `secret` as it is saved with a source; the service uses it for its next token."""
    return vault.kept(row.id, SECRET_NAME, secret.value, secret.reference)


def edited(row: SourceRow, settings: SourceSettings, extra: Mapping[str, Any]) -> SourceRow:
    """Return `row` with other settings. Raises ConfigError if one does not hold."""
    changed = replace(row, settings={**row.settings, **extra, row.kind: dict(settings.to_mapping())})
    stream_settings(changed)
    return changed


def refuse_other_tenant(installation: Installation, before: SourceRow, after: SourceRow) -> None:
    """Raise ConfigError if an edit would mix another tenant's records into what was read of this one."""
    if source_settings(before).is_same_tenant(source_settings(after)):
        return
    if not installation.ledger.pulling.slices(source_id=before.id):
        return
    raise ConfigError(
        Phrase(
            "The source %(name)s has read another tenant, and their rows could not be distinguished. "
            "Add the new one as a source of its own: ocelog source add. The old one keeps its rows, "
            "also when it is removed: ocelog source remove %(id)s",
            name=repr(before.name),
            id=before.id,
        )
    )


def swept_once_more(marks: Marks) -> Marks:
    """Return `marks` with a sweep due, if the stream was swept before."""
    return marks if marks.swept_at is None else sweep_wanted(marks)


def shows_more(before: SourceRow, after: SourceRow) -> bool:
    """Whether the source can see records, as of further projects, that it could not see before."""
    return source_settings(after).shows_more_than(source_settings(before))


def check(
    settings: SourceSettings,
    secret: Secret,
    told: Callable[[str], None] = lambda _: None,
    found: Callable[[HealthItem], None] = lambda _: None,
) -> list[HealthItem]:
    """Ask the tenant for a little of everything and return what was found.

    `told` hears of each wait, `found` of each item as soon as it is known.
    """
    source = SOURCES[settings.product].connector().connect("check", settings, lambda: secret, ApiClock())
    try:
        return source.check(told, found)
    finally:
        source.close()


def verdict_of(found: Sequence[HealthItem]) -> dict[str, str]:
    """Return what the trail says of a check: that it passed, or what failed."""
    failed = [each.name for each in found if each.state is HealthState.FAIL]
    return {"failed": ", ".join(failed)} if failed else {"verdict": "passed"}
