"""Sources: tenants that are read, each as one service account sees it."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr
from starlette.responses import Response

from ocelog.app import source_changes, sources
from ocelog.app.source_changes import Listener, SourceChange
from ocelog.app.source_settings import damage, source_settings
from ocelog.app.sources import GivenSecret
from ocelog.app.stream_health import alarm_settings
from ocelog.console.api.caller import Admin, Viewer
from ocelog.console.api.paging import Cursor, Limit, Page, page_of
from ocelog.console.api.problems import not_found
from ocelog.console.api.repeats import IdempotencyKey, once
from ocelog.console.api.values import Line, Name, instant
from ocelog.errors import ConfigError
from ocelog.health.settings import AFTER
from ocelog.installation.opening import Installation
from ocelog.model import SourceRow
from ocelog.pull.ports import HealthItem
from ocelog.secret import Secret
from ocelog.units import write_duration

router = APIRouter(prefix="/sources", tags=["Sources"])
_LONGEST_SECRET = 65_536
Setting = str | int | float | list[str]


class Source(BaseModel):
    """A source. Its secret is never returned."""

    id: str
    name: str
    product: str
    log_types: list[str]
    paused: bool
    added_at: AwareDatetime | None
    settings: dict[str, Any] = Field(description="The product's own, without the secret.")
    secret_kept: str | None = Field(description="How the secret is kept; null: there is none.")
    no_events_after: str = Field(description="After how long without an event people are told: `1d`; `off`: never.")
    damaged: str | None = Field(description="Why its settings cannot be used.")


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
    log_types: list[str] | None = Field(default=None, max_length=100, description="None: all of them.")
    backfill: str = Field(default="30d", description="How far back to read: a duration, or `all`.", examples=["30d"])
    secret: SecretStr = Field(max_length=_LONGEST_SECRET)


class SourceEdit(BaseModel):
    """What to change of a source; what is left out stays."""

    model_config = ConfigDict(extra="forbid")
    paused: bool | None = None
    no_events_after: str | None = Field(default=None, description="A duration of 15m to 30d, or `off`.")


class NewSecret(BaseModel):
    """A secret for the place of the present one. It is tried first."""

    model_config = ConfigDict(extra="forbid")
    secret: SecretStr = Field(max_length=_LONGEST_SECRET)
    client_id: Annotated[str, Field(min_length=1, max_length=300)] | None = Field(
        default=None, description="The account's new id, if that changes too."
    )


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
    broken = damage(row)
    settings: dict[str, Any] = {} if broken is not None else dict(source_settings(row).to_mapping())
    after = alarm_settings(row, next(iter(sources.product_of(row).log_types))).after if broken is None else None
    return Source(
        id=row.id,
        name=row.name,
        product=row.kind,
        log_types=[] if broken is not None else list(source_settings(row).log_types),
        paused=row.paused,
        added_at=instant(row.added_us),
        settings={name: value for name, value in settings.items() if value is not None},
        secret_kept=sources.secret_kept(installation, row),
        no_events_after="off" if after is None else write_duration(after),
        damaged=None if broken is None else str(broken),
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
def add_source(request: Request, caller: Admin, body: NewSource, idempotency_key: IdempotencyKey = None) -> Response:
    """Add a source, once it is known to work. What is wrong is in the answer's `detail`."""
    installation = caller.installation

    def make() -> Source:
        product = sources.products().get(body.product)
        if product is None:
            raise ConfigError(f"There is no product {body.product[:100]!r}; there are {', '.join(sources.products())}.")
        options = {each.name: each for each in product.options}
        for name, value in body.settings.items():
            option = options.get(name)
            if option is None or option.is_file:
                raise ConfigError(
                    f"{name[:100]!r} is no option that can be set here; {', '.join(_usable(options))} are."
                )
            kinds: tuple[type, ...] = (
                (list,) if option.many else (int, float) if option.value is float else (option.value,)
            )
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise ConfigError(
                    f"{name} is {'a list of texts' if option.many else f'of type {option.value.__name__}'}."
                )
        for option in product.options:
            if option.required and not body.settings.get(option.name):
                raise ConfigError(f"{option.name} is missing in settings: {option.help}")
        secret = given(body.secret)
        change = SourceChange(
            own=body.settings,
            public_only=not installation.settings.private_sources,
            log_types=body.log_types,
            streams={"backfill": body.backfill},
            secret=GivenSecret(value=secret),
        )
        row = source_changes.described(installation, product, body.name, change)
        checked = list[HealthItem]()
        try:
            source_changes.prove(row, secret, "Nothing was saved.", Listener(found=checked.extend))
        except ConfigError as error:
            wrong = [f"{each.name}: {each.text} {each.todo}".strip() for each in checked if each.state.value == "fail"]
            raise ConfigError(" ".join([str(error), *wrong])) from error
        sources.add(installation, row, GivenSecret(value=secret))
        caller.note("source.added", row.name)
        return shown(installation, row)

    return once(request, caller, idempotency_key, body, make)


def _usable(options: dict[str, Any]) -> list[str]:
    return [name for name, option in options.items() if not option.is_file]


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
def edit_source(caller: Admin, source: Name, body: SourceEdit) -> Source:
    """Pause or resume a source, or set its no-events alarm."""
    installation = caller.installation
    row = found(installation, source)
    if body.no_events_after is not None:
        change = SourceChange(no_events={None: {AFTER: body.no_events_after}}, check=False)
        row = source_changes.edit(installation, row, change, Listener()).row
        caller.note("source.alarm_set", row.name, after=body.no_events_after)
    if body.paused is not None and body.paused is not row.paused:
        source_changes.pause(installation, row, paused=body.paused)
        caller.note("source.paused" if body.paused else "source.resumed", row.name)
    return shown(installation, found(installation, row.id))


@router.post("/{source}/check")
def check_source(caller: Admin, source: Name) -> Checks:
    """Ask a source for a little of everything, now, and return what works."""
    row = found(caller.installation, source)
    items = sources.check(source_settings(row), sources.reveal(caller.installation, row))
    return Checks(
        well=all(each.state.value != "fail" for each in items),
        items=[
            Check(name=each.name, state=each.state.value, text=each.text, todo=each.todo, later=each.later)
            for each in items
        ],
    )


@router.post("/{source}/secret", status_code=204)
def rotate_secret(caller: Admin, source: Name, body: NewSecret) -> None:
    """Put a new secret in the place of the present one, once it works."""
    row = found(caller.installation, source)
    secret = GivenSecret(value=given(body.secret))
    change = SourceChange(own={} if body.client_id is None else {"client_id": body.client_id})
    source_changes.rotate(caller.installation, row, change, secret, Listener())
    caller.note("source.rotated", row.name)


@router.delete("/{source}", status_code=204)
def remove_source(caller: Admin, source: Name) -> None:
    """Stop reading a source and forget its secret. Its rows stay, and if it is added again it goes on."""
    row = found(caller.installation, source)
    source_changes.remove(caller.installation, row)
    caller.note("source.removed", row.name)
