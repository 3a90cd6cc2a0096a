"""Folders of rules and their packs, and what rules did not judge.

A folder is registered by a command on the machine: its Python runs there.
"""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ocelog.app.rule_folders import rule_folders
from ocelog.app.rule_folders.rule_folders import ListedPack
from ocelog.app.rules import rule_showing
from ocelog.console.api.caller import Admin, Viewer
from ocelog.console.api.paging import MOST, Cursor, Limit, Page, page_of
from ocelog.console.api.problems import not_found
from ocelog.console.api.values import Line, Name
from ocelog.console.capacity import slowly
from ocelog.detect.unjudged import oldest_us
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation
from ocelog.times import from_us

router = APIRouter(tags=["Rules"])
Words = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]


class FolderRule(BaseModel):
    """A rule or a scheduled query of a folder."""

    id: str
    kind: str
    status: str
    why: str
    severity: str | None
    log_types: list[str]
    no_source: list[str] = Field(description="Log types of it that no source here has.")
    scheduled_queries: list[str] = Field(description="Whose rows it judges.")
    packs: list[str]
    suspended: bool
    fails: bool = Field(description="An alert that it fails is open.")
    file: str = Field(description="Where it stands, on the machine.")


class ItemNotRun(BaseModel):
    """What is in a folder and is not run."""

    id: str
    kind: str
    why: str


class RuleFolder(BaseModel):
    """A folder of rules."""

    folder: str
    path: str
    built_in: bool
    network: bool = Field(description="Its Python may use the network.")
    unsafe: bool = Field(description="Its Python runs even if the machine cannot keep it in.")
    packs: dict[str, bool] = Field(description="Packs that a person turned on or off.")
    rules: list[FolderRule]
    not_run: list[ItemNotRun]
    problems: list[str]


class Pack(BaseModel):
    """Rules that are turned on together."""

    id: str
    name: str
    description: str
    folder: str
    members: list[str] = Field(description="Ids of rules, helpers and queries.")
    turned: bool | None = Field(description="Whether a person turned it on or off; null: the files of the rules say.")
    rules: int
    on: int = Field(description="How many of its rules run.")


class PackEdit(BaseModel):
    """What to change of a pack."""

    model_config = ConfigDict(extra="forbid")
    enabled: bool


class UnjudgedEvents(BaseModel):
    """Events of one table and source that a rule said nothing of, all for the same reason."""

    rule: str | None = Field(description="null: every rule.")
    table: str
    source: str = Field(description="Its id.")
    events: int
    first: AwareDatetime = Field(description="Event time.")
    last: AwareDatetime
    why: str
    to_do: str | None


class Dismissal(BaseModel):
    """What is to be forgotten."""

    model_config = ConfigDict(extra="forbid")
    rule: Line | None = Field(default=None, description="null: of every rule.")


class DismissedEvents(BaseModel):
    """What was forgotten."""

    events: int


@router.get("/rule-folders")
@slowly
def list_folders(
    caller: Viewer, folder: Annotated[Words | None, Query(description="Only the one of this name.")] = None
) -> list[RuleFolder]:
    """List the folders with all of their rules, in the order in which they come first.

    It waits up to 6 seconds for a folder that is just being written, so as not to list half of its rules.
    """
    with not_found():
        found = rule_showing.folders(caller.installation, folder, waits=True)
    return [RuleFolder.model_validate(each) for each in found]


def _shown(pack: ListedPack) -> Pack:
    return Pack(
        id=pack.id,
        name=pack.name,
        description=pack.description,
        folder=pack.folder,
        members=list(pack.members),
        turned=pack.turned,
        rules=pack.rules,
        on=pack.on,
    )


def _every(installation: Installation) -> list[ListedPack]:
    first = dict[str, ListedPack]()
    for folder in rule_folders.listed(installation):
        for pack in folder.packs:
            first.setdefault(pack.id, pack)
    return list(first.values())


def _found(installation: Installation, name: str) -> ListedPack:
    with not_found():
        found = next((each for each in _every(installation) if each.id == name), None)
        if found is None:
            raise ConfigError(f"There is no pack {name[:100]!r}.")
        return found


@router.get("/packs")
def list_packs(caller: Viewer, limit: Limit = 50, cursor: Cursor = None) -> Page[Pack]:
    """List the packs. Of those with the same id, the one of the folder that comes first is listed."""
    found, further = page_of(_every(caller.installation), lambda pack: pack.id, limit=limit, cursor=cursor)
    return Page(items=[_shown(each) for each in found], next=further)


@router.get("/packs/{pack}")
def get_pack(caller: Viewer, pack: Name) -> Pack:
    """Return one pack, by its id."""
    return _shown(_found(caller.installation, pack))


@router.patch("/packs/{pack}")
def edit_pack(caller: Admin, pack: Name, body: PackEdit) -> Pack:
    """Turn a pack on or off. A running service notices within seconds."""
    found = _found(caller.installation, pack)
    rule_folders.turn(caller.installation, [found.id], on=body.enabled)
    caller.note("rule.enabled" if body.enabled else "rule.disabled", found.id)
    return _shown(_found(caller.installation, found.id))


@router.get("/unjudged")
def list_unjudged(
    caller: Viewer,
    rule: Words | None = None,
    limit: Annotated[int | None, Query(ge=1, le=MOST, description="Most entries; without it, all.")] = None,
) -> list[UnjudgedEvents]:
    """List the events that rules were not asked about, or failed on: which, how many, and why."""
    found = rule_folders.unjudged(caller.installation, rule)
    todo = rule_folders.what_to_do(caller.installation, oldest_us(found))
    return [
        UnjudgedEvents(
            rule=each.rule_id or None,
            table=each.table,
            source=each.source_id,
            events=each.rows,
            first=from_us(each.first_us),
            last=from_us(each.last_us),
            why=each.reason,
            to_do=todo.get(each.rule_id),
        )
        for each in found[:limit]
    ]


@router.post("/unjudged/dismiss")
def dismiss_unjudged(caller: Admin, body: Dismissal) -> DismissedEvents:
    """Forget what is listed: it stays unjudged."""
    found = rule_folders.unjudged(caller.installation, body.rule)
    count = rule_folders.dismiss_unjudged(caller.installation, body.rule, found)
    caller.note("rule.unjudged_dismissed", body.rule or "", events=str(count))
    return DismissedEvents(events=count)
