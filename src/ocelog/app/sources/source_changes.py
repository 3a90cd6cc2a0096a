"""How a source is added, changed, paused, removed and given a new secret: proven first, kept only if it works."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from ocelog.app.log_types import changing
from ocelog.app.source_settings import reveal, source_settings, stream_settings
from ocelog.app.sources import sources
from ocelog.app.sources.sources import GivenSecret, product_of, products
from ocelog.app.sources.stream_health import NO_EVENTS, alarm_settings
from ocelog.errors import ConfigError, SourceUnavailableError
from ocelog.health.settings import AFTER, changed, read_after, written
from ocelog.installation.opening import Installation
from ocelog.languages.phrases import Phrase
from ocelog.model import SourceRow
from ocelog.product import Product, SourceSettings
from ocelog.pull.ports import HealthItem, HealthState
from ocelog.secrets.secret import Secret
from ocelog.workers.threads import interrupted

_ACCOUNT = ("address", "token")
"""What a new secret must get right; the rest of a check is about what the account may read."""


class SourceChange(Struct, frozen=True, kw_only=True):
    """What a person wants of a source; what is not named stays as it is, or is the default."""

    own: Mapping[str, Any] = field(default_factory=dict)
    """The product's options, by their names."""
    log_types: Sequence[str] | None = None
    streams: Mapping[str, Any] = field(default_factory=dict)
    """How its streams are read: `backfill`, `poll`, and so on, as they are kept."""
    no_events: Mapping[str | None, Mapping[str, object]] = field(default_factory=dict)
    """How its no-events alarms are set, as they are kept, by log type; None: for all of them."""
    secret: GivenSecret | None = None
    check: bool = True
    """Ask the tenant for a little of everything before anything is kept."""
    anyway: bool = False
    """Also if another source reads the same tenant with the same account."""
    public_only: bool = False
    """Whoever names an address is not at this machine: it must not lead where only this machine can reach."""
    remote: bool = False
    """Whoever asks is not at this machine, and must not learn the secret: another address takes it, too."""

    @property
    def reaches_anew(self) -> bool:
        """Whether something else is reached or read, which deserves a check."""
        reaching = {each.name for product in products().values() for each in product.options if each.reaches}
        return self.log_types is not None or not reaching.isdisjoint(self.own)

    def kept(self, before: SourceRow | None) -> dict[str, Any]:
        """Return what is kept beside the product's settings, in the place of what `before` has."""
        if not self.no_events:
            return dict(self.streams)
        kept = None if before is None else before.settings.get(NO_EVENTS)
        return {**self.streams, NO_EVENTS: changed(kept if isinstance(kept, Mapping) else {}, self.no_events)}

    def settings(self, product: Product, before: SourceSettings | None) -> SourceSettings:
        """Return `before`, or the defaults, with what is wanted. Raises ConfigError."""
        flags = {each.name: each.flag for other in products().values() for each in other.options}
        options = {each.name for each in product.options}
        for name in self.own:
            if name not in options:
                raise ConfigError(
                    Phrase(
                        "%(flags)s is not an option of a source of %(title)s.",
                        flags=flags.get(name, name),
                        title=product.title,
                    )
                )
        if self.public_only and (
            files := [each.name for each in product.options if each.is_file and each.name in self.own]
        ):
            raise ConfigError(
                Phrase(
                    "%(files)s names a file of the machine: set it there. See: ocelog source edit --help",
                    files=files[0],
                )
            )
        chosen = product.choose(before, {**self.own, **({"log_types": self.log_types} if self.log_types else {})})
        # Whoever has a shell here may name any address, also in the place of one that was named remotely; and what was
        # named here stays as it is, whatever else is changed remotely.
        if before is None:
            named = True
        elif self.remote:
            named = bool(_other_addresses(product, before, chosen))
        else:
            named = any(each.is_address and each.name in self.own for each in product.options)
        return product.confined(chosen, public_only=self.public_only) if named else chosen


class Listener(Struct, frozen=True, kw_only=True):
    """Who hears of a check while it goes on."""

    begins: Callable[[], None] = lambda: None
    """That the source is tried from now on."""
    waits: Callable[[str], None] = lambda _: None
    """Of each wait, and why."""
    item: Callable[[HealthItem], None] = lambda _: None
    """Of each thing that was found, as soon as it is known."""
    found: Callable[[Sequence[HealthItem]], None] = lambda _: None
    """Of all that was found, also if it works."""
    conflict: Callable[[str], None] = lambda _: None
    """How settings are at odds with each other, though they work."""
    stopped: Callable[[str], None] = lambda _: None
    """That somebody pressed Ctrl-C, and what that means for what was to be kept."""


class EditResult(Struct, frozen=True, kw_only=True):
    """What an edit came to."""

    row: SourceRow
    sees_more: bool
    """It sees records, as of further projects, that it could not see before."""
    swept: bool
    """The open ones among them are read by a sweep."""


def free_name(installation: Installation, name: str) -> str:
    """Return `name` as it is kept. Raises ConfigError if a source has it already."""
    name = sources.clean_name(name)
    taken = installation.ledger.sources.find(sources.source_id(name))
    if taken is not None and taken.removed_us is None:
        raise ConfigError(
            Phrase(
                "There is a source %(name)s already: choose another name, or change that one. See: "
                "ocelog source edit %(id)s --help",
                name=repr(taken.name),
                id=taken.id,
            )
        )
    return name


def described(installation: Installation, product: Product, name: str, change: SourceChange) -> SourceRow:
    """Return the source that would be added. Raises ConfigError if it may not be."""
    row = sources.row_of(free_name(installation, name), change.settings(product, None), change.kept(None))
    sources.resumes(installation, row)
    if not change.anyway:
        sources.refuse_twin(installation, row)
    return row


def prove(
    row: SourceRow, secret: Secret, otherwise: str, listener: Listener, *, only: Collection[str] | None = None
) -> None:
    """Ask the tenant for a little of everything; `only`: what is found of these items counts.

    Raises ConfigError if something fails that needs attention, SourceUnavailableError if all that fails may work later;
    `otherwise` says what that means for what was to be kept.
    """

    def tell(item: HealthItem) -> None:
        if only is None or item.name in only:
            listener.item(item)

    listener.begins()
    try:
        items = sources.check(source_settings(row), secret, listener.waits, tell)
    except (KeyboardInterrupt, RuntimeError) as error:
        if not interrupted(error):
            raise
        listener.stopped(otherwise)
        raise KeyboardInterrupt from None
    items = [item for item in items if only is None or item.name in only]
    listener.found(items)
    failed = [item for item in items if item.state is HealthState.FAIL]
    if failed and all(item.later for item in failed):
        raise SourceUnavailableError(
            Phrase("The source could not be checked just now: try again later. %(otherwise)s", otherwise=otherwise)
        )
    if any(item.code == "credentials_refused" for item in failed):
        product = product_of(row).title
        raise ConfigError(
            Phrase("%(product)s refused this client ID and secret. %(otherwise)s", product=product, otherwise=otherwise)
        )
    if failed:
        raise ConfigError(Phrase("This source does not work as it is set up. %(otherwise)s", otherwise=otherwise))


def revised(installation: Installation, before: SourceRow, change: SourceChange) -> SourceRow:
    """Return what a source would be after a change. Raises ConfigError if it may not be."""
    settings = change.settings(product_of(before), source_settings(before))
    _refuse_new_address(before, settings, change)
    row = sources.edited(before, settings, change.kept(before))
    sources.refuse_other_tenant(installation, before, row)
    if change.reaches_anew and not change.anyway:
        sources.refuse_twin(installation, row)
    return row


def edit(
    installation: Installation,
    before: SourceRow,
    change: SourceChange,
    listener: Listener,
    *,
    otherwise: str | None = None,
) -> EditResult:
    """Change a source; a running service notices. Nothing is changed if it raises ConfigError or what `prove` does.

    `otherwise` says so, to whoever gave no options.
    """
    row = revised(installation, before, change)
    tell_conflict(row, listener)
    if change.check and (change.secret is not None or change.reaches_anew):
        secret = change.secret.value if change.secret is not None else reveal(installation, before)
        prove(row, secret, otherwise or _unchanged(before, change), listener)
    # Without the key nothing is changed.
    secrets = [] if change.secret is None else [sources.kept_secret(installation.vault(), row, change.secret)]
    sees_more = sources.shows_more(before, row)
    swept = sees_more and stream_settings(row).sweep
    # Logs are not of a project.
    more = changing() if sees_more else ()
    marks = sources.swept_once_more if swept else None
    installation.ledger.sources.save(row, secrets, before=before, sees_more=more, marks=marks)
    return EditResult(row=row, sees_more=sees_more, swept=swept)


def _unchanged(before: SourceRow, change: SourceChange) -> Phrase:
    """Say that nothing was changed; and, of another account with the present secret, how to give a new one with it."""
    accounts = {each.name for each in product_of(before).options if each.rotates}
    if change.secret is None and not change.remote and not accounts.isdisjoint(change.own):
        return Phrase(
            "Nothing was changed (--no-check changes it anyway). It was tried with the present client secret: if that "
            "changes too, give both in one command, with --client-secret-file -"
        )
    return Phrase("Nothing was changed (--no-check changes it anyway).")


def twin_of(installation: Installation, before: SourceRow, change: SourceChange) -> SourceRow | None:
    """Return another source that reads the same tenant with the same account as this one would once it is changed."""
    return sources.twin(installation, change.settings(product_of(before), source_settings(before)), before.id)


def _refuse_new_address(before: SourceRow, settings: SourceSettings, change: SourceChange) -> None:
    """Refuse to send the secret that is kept to an address that is named remotely. Raises ConfigError."""
    if not change.remote or change.secret is not None:
        return
    for name in _other_addresses(product_of(before), source_settings(before), settings):
        raise ConfigError(Phrase("Another %(name)s takes the client secret, too: it is sent there.", name=name))


def _other_addresses(product: Product, before: SourceSettings, after: SourceSettings) -> list[str]:
    """Return the options that say where something is reached, and that differ."""
    old, new = before.to_mapping(), after.to_mapping()
    named = (each.name for each in product.options if each.is_address)
    return [name for name in named if old.get(name) != new.get(name)]


def rotate(
    installation: Installation, before: SourceRow, change: SourceChange, secret: GivenSecret, listener: Listener
) -> SourceRow:
    """Put `secret` in the place of the present one once it works, with the account's new id if that changes too."""
    row = before
    if change.own:
        row = sources.edited(before, change.settings(product_of(before), source_settings(before)), {})
        if not change.anyway:
            sources.refuse_twin(installation, row)
    prove(row, secret.value, Phrase("The old secret stays."), listener, only=_ACCOUNT)
    installation.ledger.sources.save(row, [sources.kept_secret(installation.vault(), row, secret)], before=before)
    return row


def pause(installation: Installation, row: SourceRow, *, paused: bool) -> None:
    """Stop reading a source, or read it again from where it stopped."""
    installation.ledger.sources.save(replace(row, paused=paused), before=row)


def no_events_after(row: SourceRow) -> str:
    """Return after how long without an event people are told, as `set_no_events_after` takes it."""
    found = alarm_settings(row, next(iter(product_of(row).log_types))).after
    return written(found)


def set_no_events_after(installation: Installation, row: SourceRow, after: str) -> SourceRow:
    """Choose after how long without an event people are told: a duration, or `off`. Raises ConfigError."""
    change = SourceChange(no_events={None: {AFTER: written(read_after(after))}}, check=False)
    return edit(installation, row, change, Listener()).row


def remove(installation: Installation, row: SourceRow) -> None:
    """Stop reading a source and forget its secret; its rows stay, and if it is added again it goes on."""
    installation.ledger.sources.remove(row.id)


def point_to(installation: Installation, row: SourceRow, secret: GivenSecret) -> None:
    """Add a source as it is, or have the one of that id be as this: of a tenant that is known to work."""
    there = installation.ledger.sources.find(row.id)
    if there is None or there.removed_us is not None:
        sources.add(installation, row, secret)
    else:
        installation.ledger.sources.save(row, [sources.kept_secret(installation.vault(), row, secret)])


def tell_conflict(row: SourceRow, listener: Listener) -> None:
    """Say how the settings of `row` are at odds with each other, though they work."""
    conflict = source_settings(row).conflict()
    if conflict is not None:
        listener.conflict(conflict)
