"""Sources: tenants that are read, each as one service account sees it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr
from starlette.responses import Response

from ocelog.app.log_types import log_types
from ocelog.app.source_settings import reveal, source_settings, written_backfill, written_poll, written_sweep_every
from ocelog.app.sources import source_changes, source_showing, sources
from ocelog.app.sources.source_changes import Listener, SourceChange
from ocelog.app.sources.sources import GivenSecret
from ocelog.console.api.caller import Admin, Viewer
from ocelog.console.api.paging import Cursor, Limit, Page, page_of
from ocelog.console.api.problems import not_found
from ocelog.console.api.repeats import IdempotencyKey, once
from ocelog.console.api.values import Line, Name, instant
from ocelog.console.capacity import slowly
from ocelog.errors import ConfigError
from ocelog.health.settings import AFTER, EVEN_IF_QUIET, QUIET_HOURS, REPEAT, read_after, read_repeat, written
from ocelog.installation.opening import Installation
from ocelog.model import SourceRow
from ocelog.product import Product
from ocelog.pull.ports import HealthItem
from ocelog.quiet_hours import read_quiet_hours
from ocelog.secrets.secret import Secret

router = APIRouter(prefix="/sources", tags=["Sources"])
_LONGEST_SECRET = 65_536
Setting = str | int | float | list[str]
Value = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]


class Alarm(BaseModel):
    """The no-events alarm of one log type."""

    after: str = Field(description="`1d`; `off`: nobody is told of silence.")
    repeat: str = Field(description="How often it is told again; `off`: once.")
    quiet_hours: str = Field(description="When nobody is told; `off`: none.")
    even_if_quiet: bool = Field(description="Also if a sweep has shown that nothing is missing.")


class Source(BaseModel):
    """A source. Its secret is never returned."""

    id: str
    name: str
    product: str
    log_types: list[str]
    projects: list[str] = Field(description="To which it is limited; empty: everything.")
    paused: bool
    added_at: AwareDatetime | None
    settings: dict[str, Any] = Field(description="The product's own, without the secret.")
    secret_kept: str | None = Field(description="How the secret is kept; null: there is none.")
    backfill: str | None = Field(description="How far back it is read: a duration, or `all`.")
    sweep: bool = Field(description="Whether open records of any age are read at first, and again and again.")
    sweep_every: str | None
    poll: str | None = Field(description="How often it is asked for news.")
    no_events_after: str = Field(description="Of the first log type: `1d`; `off`: nobody is told of silence.")
    no_events: dict[str, Alarm] = Field(description="Log type -> its no-events alarm.")
    damaged: str | None = Field(description="Why its settings cannot be used.")


class AlarmEdit(BaseModel):
    """What to change of the no-events alarm of a log type; null: as for all of them, or as it is by default."""

    model_config = ConfigDict(extra="forbid")
    after: Value | None = Field(default=None, description="A duration of 15m to 30d, or `off`.")
    repeat: Value | None = Field(default=None, description="A duration of 15m to 30d, or `off`.")
    quiet_hours: Value | None = Field(default=None, description="`22:00-07:00 Europe/Berlin`, or `off`.")
    even_if_quiet: bool | None = None


class NewSource(BaseModel):
    """A source to be added. It is asked for a little of everything first, and added only if that works."""

    model_config = ConfigDict(extra="forbid")
    name: Line = Field(examples=["prod"])
    product: str = "wiz"
    settings: dict[str, Setting] = Field(
        description="The product's options, as `ocelog source add wiz --help` names them, with `_` for `-`. Options "
        "that name files are for commands only.",
        examples=[{"token_url": "cognito", "client_id": "abc", "api_url": "us1"}],
    )
    log_types: list[Line] | None = Field(default=None, max_length=100, description="None: all of them.")
    backfill: Value = Field(default="30d", description="How far back to read: a duration, or `all`.", examples=["30d"])
    sweep: bool = Field(default=True, description="Read open records of any age at first, and again and again.")
    sweep_every: Value | None = Field(default=None, description="`10m` to `30d`.")
    poll: Value | None = Field(default=None, description="How often to ask for news, `1s` to `1d`.")
    no_events_after: Value | None = Field(
        default=None, description="A duration of 15m to 30d, or `off`: for all log types. None: `1d`."
    )
    no_events: dict[Line, AlarmEdit] = Field(
        default={}, max_length=100, description="Log type -> its alarm; `*`: all of them that have none of their own."
    )
    secret: SecretStr = Field(max_length=_LONGEST_SECRET)
    check: bool = Field(default=True, description="Try it first. false: add it even if it does not work now.")
    anyway: bool = Field(default=False, description="Also if another source reads the same tenant by this account.")


class SourceEdit(BaseModel):
    """What to change of a source; what is left out stays. What reaches or reads something else is tried first."""

    model_config = ConfigDict(extra="forbid")
    paused: bool | None = None
    settings: dict[str, Setting] = Field(
        default={}, description="As of a new source. Another address takes `secret`, too: it is sent there."
    )
    log_types: list[Line] | None = Field(default=None, min_length=1, max_length=100)
    backfill: Value | None = Field(default=None, description="A duration, or `all`. A wider one reads what is missing.")
    sweep: bool | None = None
    sweep_every: Value | None = None
    poll: Value | None = None
    no_events_after: Value | None = Field(
        default=None, description="A duration of 15m to 30d, or `off`: for all log types."
    )
    no_events: dict[Line, AlarmEdit] = Field(
        default={}, max_length=100, description="Log type -> its alarm; `*`: all of them that have none of their own."
    )
    secret: SecretStr | None = Field(default=None, max_length=_LONGEST_SECRET)
    check: bool = Field(default=True, description="Try it first. false: change it even if it does not work now.")
    anyway: bool = Field(default=False, description="Also if another source reads the same tenant by this account.")


class NewSecret(BaseModel):
    """A secret for the place of the present one. It is tried first."""

    model_config = ConfigDict(extra="forbid")
    secret: SecretStr = Field(max_length=_LONGEST_SECRET)
    client_id: Annotated[str, Field(min_length=1, max_length=300)] | None = Field(
        default=None, description="The account's new id, if that changes too."
    )
    anyway: bool = Field(default=False, description="Also if another source reads the same tenant by this account.")


class Check(BaseModel):
    """One thing that must hold for a source to be read."""

    name: str
    state: str
    text: str
    todo: str = Field(description="What to do; empty: nothing.")
    later: bool = Field(description="It may work later without anybody changing anything.")


class Checks(BaseModel):
    """What asking a source for a little of everything came to."""

    well: bool
    items: list[Check]


def shown(installation: Installation, row: SourceRow) -> Source:
    """Return a source as the API shows it."""
    view = source_showing.shown(installation, row)
    return Source(
        id=view.id,
        name=view.name,
        product=view.product,
        log_types=list(view.log_types),
        projects=list(view.projects),
        paused=view.paused,
        added_at=instant(view.added_us),
        settings=dict(view.settings),
        secret_kept=view.secret_kept,
        backfill=view.backfill,
        sweep=view.sweep,
        sweep_every=view.sweep_every,
        poll=view.poll,
        no_events_after=next((alarm[AFTER] for alarm in view.no_events.values()), "off"),
        no_events={log_type: Alarm(**alarm) for log_type, alarm in view.no_events.items()},
        damaged=view.damaged,
    )


def found(installation: Installation, name: str) -> SourceRow:
    """Return the source of that name or id. Raises RefusedError."""
    with not_found():
        return sources.find(installation, name)


@router.get("")
def list_sources(caller: Viewer, limit: Limit = 50, cursor: Cursor = None) -> Page[Source]:
    """List the sources."""
    rows, further = page_of(sources.listed(caller.installation), lambda row: row.id, limit=limit, cursor=cursor)
    return Page(items=[shown(caller.installation, row) for row in rows], next=further)


@router.post("", status_code=201, response_model=Source)
@slowly
def add_source(request: Request, caller: Admin, body: NewSource, idempotency_key: IdempotencyKey = None) -> Response:
    """Add a source, once it is known to work. What is wrong is in the answer's `detail`."""
    installation = caller.installation

    def make() -> Source:
        product = sources.products().get(body.product)
        if product is None:
            raise ConfigError(f"There is no product {body.product[:100]!r}; there are {', '.join(sources.products())}.")
        _refuse_unusable(product, body.settings)
        for option in product.options:
            if option.required and not body.settings.get(option.name):
                raise ConfigError(f"{option.name} is missing in settings: {option.help}")
        secret = given(body.secret)
        change = SourceChange(
            own=body.settings,
            public_only=not installation.settings.private_sources,
            log_types=body.log_types,
            streams=_streams(body),
            no_events=_alarms(body),
            secret=GivenSecret(value=secret),
            anyway=body.anyway,
        )
        row = source_changes.described(installation, product, body.name, change)
        checked = list[HealthItem]()
        try:
            if body.check:
                source_changes.prove(row, secret, "Nothing was saved.", Listener(found=checked.extend))
        except ConfigError as error:
            raise _with_checks(error, checked) from error
        sources.add(installation, row, GivenSecret(value=secret))
        caller.note("source.added", row.name)
        return shown(installation, row)

    return once(request, caller, idempotency_key, body, make)


def _refuse_unusable(product: Product, settings: Mapping[str, Setting]) -> None:
    """Raise ConfigError if one of the `settings` cannot be set here, or is of another type."""
    options = {each.name: each for each in product.options if not each.is_file}
    for name, value in settings.items():
        option = options.get(name)
        if option is None:
            raise ConfigError(f"{name[:100]!r} is no option that can be set here; {', '.join(options)} are.")
        kinds: tuple[type, ...] = (list,) if option.many else (int, float) if option.value is float else (option.value,)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise ConfigError(f"{name} is {'a list of texts' if option.many else f'of type {option.value.__name__}'}.")


def _streams(body: NewSource | SourceEdit) -> dict[str, Any]:
    """Return how the streams are to be read, as it is kept. Raises ConfigError."""
    chosen = {
        "backfill": None if body.backfill is None else written_backfill(body.backfill, "backfill: "),
        "sweep": body.sweep,
        "sweep_every": None if body.sweep_every is None else written_sweep_every(body.sweep_every, "sweep_every"),
        "poll": None if body.poll is None else written_poll(body.poll, "poll"),
    }
    return {name: value for name, value in chosen.items() if value is not None}


def _alarms(body: NewSource | SourceEdit) -> dict[str | None, dict[str, object]]:
    """Return what to change of the no-events alarms, by log type, as it is kept. Raises ConfigError."""
    found = dict[str | None, dict[str, object]]()
    if body.no_events_after is not None:
        found[None] = {AFTER: written(read_after(body.no_events_after))}
    for log_type, alarm in body.no_events.items():
        changed: dict[str, object] = {}
        for name, read in ((AFTER, read_after), (REPEAT, read_repeat), (QUIET_HOURS, read_quiet_hours)):
            if name in alarm.model_fields_set:
                text = getattr(alarm, name)
                changed[name] = None if text is None else written(read(text))
        if EVEN_IF_QUIET in alarm.model_fields_set:
            changed[EVEN_IF_QUIET] = alarm.even_if_quiet
        which = [None] if log_type == "*" else log_types([log_type])
        for each in which:
            found.setdefault(each, {}).update(changed)
    return found


def given(secret: SecretStr) -> Secret:
    """Return a secret of a request. Raises ConfigError for what is none."""
    text = secret.get_secret_value().strip()
    if not text or not text.isprintable():
        raise ConfigError("A client secret is one line of text.")
    return Secret(text)


@router.get("/{source}")
def get_source(caller: Viewer, source: Name) -> Source:
    """Return one source, by its id or name."""
    return shown(caller.installation, found(caller.installation, source))


@router.patch("/{source}")
@slowly
def edit_source(caller: Admin, source: Name, body: SourceEdit) -> Source:
    """Change a source: its settings, what is read of it, its no-events alarms; or pause and resume it."""
    installation = caller.installation
    row = found(installation, source)
    change = _change(installation, row, body)
    if change != SourceChange(check=body.check, anyway=body.anyway, public_only=change.public_only, remote=True):
        checked = list[HealthItem]()
        try:
            row = source_changes.edit(installation, row, change, Listener(found=checked.extend)).row
        except ConfigError as error:
            raise _with_checks(error, checked) from error
        caller.note("source.edited", row.name, changed=", ".join(sorted(_named(body))))
    if body.paused is not None and body.paused is not row.paused:
        source_changes.pause(installation, row, paused=body.paused)
        caller.note("source.paused" if body.paused else "source.resumed", row.name)
    return shown(installation, found(installation, row.id))


def _named(body: SourceEdit) -> set[str]:
    """Return what a request wants changed, by name; never a value."""
    fields = body.model_fields_set - {"paused", "check", "anyway", "settings"}
    return fields | set(body.settings)


def _change(installation: Installation, row: SourceRow, body: SourceEdit) -> SourceChange:
    """Return what a request wants of a source. Raises ConfigError."""
    if body.settings:
        _refuse_unusable(sources.product_of(row), body.settings)
    return SourceChange(
        own=body.settings,
        remote=True,
        public_only=not installation.settings.private_sources,
        log_types=None if body.log_types is None else log_types(body.log_types),
        streams=_streams(body),
        no_events=_alarms(body),
        secret=None if body.secret is None else GivenSecret(value=given(body.secret)),
        check=body.check,
        anyway=body.anyway,
    )


def _with_checks(error: ConfigError, checked: Sequence[HealthItem]) -> ConfigError:
    """Return `error` with what was found wrong."""
    wrong = [f"{each.name}: {each.text} {each.todo}".strip() for each in checked if each.state.value == "fail"]
    return ConfigError(" ".join([str(error), *wrong]))


@router.post("/{source}/check")
@slowly
def check_source(caller: Admin, source: Name) -> Checks:
    """Ask a source for a little of everything, now, and return what works."""
    row = found(caller.installation, source)
    items = sources.check(source_settings(row), reveal(caller.installation, row))
    caller.note("source.checked", row.name, **sources.verdict_of(items))
    return Checks(
        well=all(each.state.value != "fail" for each in items),
        items=[
            Check(name=each.name, state=each.state.value, text=each.text, todo=each.todo, later=each.later)
            for each in items
        ],
    )


@router.post("/{source}/secret", status_code=204)
@slowly
def rotate_secret(caller: Admin, source: Name, body: NewSecret) -> None:
    """Put a new secret in the place of the present one, once it works."""
    row = found(caller.installation, source)
    secret = GivenSecret(value=given(body.secret))
    change = SourceChange(own={} if body.client_id is None else {"client_id": body.client_id}, anyway=body.anyway)
    source_changes.rotate(caller.installation, row, change, secret, Listener())
    caller.note("source.rotated", row.name)


@router.delete("/{source}", status_code=204)
def remove_source(caller: Admin, source: Name) -> None:
    """Stop reading a source and forget its secret. Its rows stay, and if it is added again it goes on."""
    row = found(caller.installation, source)
    source_changes.remove(caller.installation, row)
    caller.note("source.removed", row.name)
