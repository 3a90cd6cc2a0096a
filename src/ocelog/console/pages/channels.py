"""Destinations: the channels through which people are told, what each hears of, and what its far end answers.

What reaches into the machine itself is for whoever has a shell there: files, and addresses of private networks.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from msgspec.structs import replace
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from ocelog.alert.delivery.routing import ChannelRow, Routing
from ocelog.app.alerts import channels
from ocelog.app.alerts.channels import ChannelChange
from ocelog.app.sources.sources import GivenSecret
from ocelog.app.users import users
from ocelog.channels.kind import ChannelKind
from ocelog.console.capacity import slowly
from ocelog.console.confirming import check_typed
from ocelog.console.rendering import page
from ocelog.console.visitor import Admin, Viewer, Visitor, installation_of
from ocelog.errors import OcelogError
from ocelog.languages.phrases import Phrase
from ocelog.model import Severity
from ocelog.quiet_hours import read_quiet_hours
from ocelog.secrets.secret import Secret

router = APIRouter()
_SAID = ("added", "paused", "resumed", "resent", "removed", "routed")
"""What is said once after something was done."""
_DIGITS = 10


def _kinds() -> Mapping[str, ChannelKind]:
    return channels.channel_kinds(remote=True)


def _list(
    request: Request,
    visitor: Visitor,
    refused: OcelogError | None = None,
    answered: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response:
    installation = installation_of(request)
    statuses = channels.statuses(installation)
    said, of, count = (request.query_params.get(name, "") for name in ("said", "of", "count"))
    # An address may say anything: what it names must be there.
    name = next((each.channel.name for each in statuses if each.channel.id == of), "")
    known = channels.tries(installation, statuses)
    return page(
        request,
        "channels.html",
        visitor=visitor,
        status=200 if refused is None else 422,
        statuses=statuses,
        tried=known.tried,
        test_failed=known.test_failed,
        hosts=channels.hosts(installation, [each.channel for each in statuses]) if visitor.may("admin") else {},
        said=said if said in _SAID and (name or said == "removed") else "",
        of=name,
        count=int(count) if count.isascii() and count.isdigit() and len(count) < _DIGITS else 0,
        typed=typed or {},
        kinds=list(_kinds()),
        severities=list(Severity),
        refused=refused,
        answered=answered,
    )


@router.get("/channels")
def show(request: Request, visitor: Viewer) -> Response:
    """List the channels."""
    return _list(request, visitor)


def _form(
    request: Request,
    visitor: Visitor,
    kind: ChannelKind,
    values: Mapping[str, str],
    refused: OcelogError | None = None,
) -> Response:
    return page(
        request,
        "new_channel.html",
        visitor=visitor,
        status=200 if refused is None else 422,
        kind=kind,
        settings=channels.remote_settings(kind),
        values=values,
        refused=refused,
    )


@router.get("/channels/new")
def ask(request: Request, visitor: Admin, kind: str = "webhook") -> Response:
    """Show the form of one kind of channel."""
    known = _kinds()
    return _form(request, visitor, known.get(kind) or next(iter(known.values())), {})


@router.post("/channels/new")
async def answer(request: Request, visitor: Admin) -> Response:
    """Add a channel."""
    sent = await request.form()
    values = {name: value for name, value in sent.items() if isinstance(value, str)}
    return await run_in_threadpool(_added, request, visitor, values)


def _added(request: Request, visitor: Visitor, values: dict[str, str]) -> Response:
    installation = installation_of(request)
    kind = _kinds().get(values.get("kind", "")) or next(iter(_kinds().values()))
    given = {each: values.get(f"set.{each.name}", "").strip() for each in channels.remote_settings(kind)}
    change = ChannelChange(
        settings={each.name: text for each, text in given.items() if text and not each.secret},
        secrets={each.name: GivenSecret(value=Secret(text)) for each, text in given.items() if text and each.secret},
        remote=True,
    )
    try:
        row = channels.add(installation, kind.name, values.get("name", ""), change)
    except OcelogError as error:
        secret = {f"set.{each.name}" for each in given if each.secret}
        shown = {name: value for name, value in values.items() if name not in secret}
        return _form(request, visitor, kind, shown, error)
    users.note(installation, visitor.user, "channel.added", row.name, visitor.origin, kind=kind.name)
    return _told("added", row)


def _told(what: str, row: ChannelRow, count: int = 0) -> Response:
    query = {"said": what, "of": row.id} | ({"count": count} if count else {})
    return RedirectResponse(f"/channels?{urlencode(query)}", status_code=303)


def _done(
    request: Request,
    visitor: Visitor,
    channel_id: str,
    what: str,
    do: Callable[[ChannelRow], Any],
    typed: Mapping[str, str] | None = None,
) -> Response:
    installation = installation_of(request)
    try:
        row = channels.find(installation, channel_id)
        done = do(row)
    except OcelogError as error:
        return _list(request, visitor, error, typed=typed)
    users.note(installation, visitor.user, f"channel.{what}", row.name, visitor.origin)
    return _told(what, row, done if isinstance(done, int) else 0)


@router.post("/channels/{channel_id}/test")
@slowly
def test(request: Request, visitor: Admin, channel_id: str) -> Response:
    """Send a marked message now, and show what the far end answers."""
    installation = installation_of(request)
    note = partial(users.note, installation, visitor.user, origin=visitor.origin)
    try:
        row = channels.find(installation, channel_id)
        request.state.target = row.name
        receipt = channels.send_test(installation, row, note)
    except OcelogError as error:
        return _list(request, visitor, error)
    return _list(request, visitor, answered={"name": row.name, "answer": f"{receipt.status} {receipt.text}".strip()})


@router.post("/channels/{channel_id}/pause")
def pause(request: Request, visitor: Admin, channel_id: str) -> Response:
    """Send nothing through a channel for now; what there is to tell waits."""
    installation = installation_of(request)
    return _done(request, visitor, channel_id, "paused", lambda row: channels.pause(installation, row, paused=True))


@router.post("/channels/{channel_id}/resume")
def resume(request: Request, visitor: Admin, channel_id: str) -> Response:
    """Send all that waits, and go on."""
    installation = installation_of(request)
    return _done(request, visitor, channel_id, "resumed", lambda row: channels.pause(installation, row, paused=False))


@router.post("/channels/{channel_id}/resend")
def resend(request: Request, visitor: Admin, channel_id: str) -> Response:
    """Have what was given up sent again."""
    installation = installation_of(request)
    return _done(request, visitor, channel_id, "resent", lambda row: channels.resend(installation, row))


@router.post("/channels/{channel_id}/remove")
def remove(request: Request, visitor: Admin, channel_id: str, name: Annotated[str, Form()] = "") -> Response:
    """Forget a channel with its secrets, for whoever types its name."""
    installation = installation_of(request)

    def do(row: ChannelRow) -> int:
        check_typed(name, row.name, Phrase("To remove it, type its name: %(name)s", name=row.name))
        return channels.remove(installation, row)

    return _done(request, visitor, channel_id, "removed", do, {"remove": channel_id})


@router.post("/channels/{channel_id}/route")
def route(
    request: Request,
    visitor: Admin,
    channel_id: str,
    least: Annotated[str, Form()] = "",
    quiet_hours: Annotated[str, Form()] = "",
    zone: Annotated[str, Form()] = "",
) -> Response:
    """Choose from which severity on a channel hears of alerts, and when it is left alone."""
    installation = installation_of(request)
    quiet_text = quiet_hours.strip()
    if quiet_text and " " not in quiet_text and quiet_text.lower() != "off":
        # By the clock of whoever types it.
        quiet_text = f"{quiet_text} {zone.strip()}".strip()

    def change(row: ChannelRow) -> ChannelRow:
        wanted = channels.severities([f"{least}+"] if least else [])
        quiet = read_quiet_hours(quiet_text or "off")

        def routed(before: Routing) -> Routing:
            return replace(before, route=replace(before.route, severities=wanted), quiet_hours=quiet)

        return channels.edit(installation, row, ChannelChange(routing=routed))

    typed = {"route": channel_id, "least": least, "quiet_hours": quiet_hours}
    return _done(request, visitor, channel_id, "routed", change, typed)
