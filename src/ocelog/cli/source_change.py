"""`ocelog source add`, `edit` and `rotate`: how a tenant is reached, proven before it is kept."""

import shlex
from typing import Annotated, Any

import typer
from msgspec.structs import replace

from ocelog.app.sources import sources
from ocelog.app.sources.source_changes import described, prove, tell_conflict
from ocelog.app.sources.source_changes import edit as edit_source
from ocelog.app.sources.source_changes import rotate as rotate_secret
from ocelog.app.sources.sources import GivenSecret, products
from ocelog.cli import completion, health, remote, show, wizard
from ocelog.cli import source_options as options
from ocelog.cli.secret_input import asked_secret, carried, somebody_is_there
from ocelog.cli.source_options import SourceOptions
from ocelog.errors import ConfigError
from ocelog.installation.home_lock import is_served
from ocelog.installation.opening import Installation, opened
from ocelog.model import SourceRow
from ocelog.product import Product
from ocelog.secrets.secret import may_be_shown, shown
from ocelog.suggest import suggest
from ocelog.units import write_list

Name = Annotated[str, typer.Argument(help="The source's name.", show_default=False, autocompletion=completion.sources)]


@options.with_options()
def add(
    kind: Annotated[
        str | None,
        typer.Argument(help=f"Whose logs: {write_list(products(), 'or')}.", autocompletion=completion.products),
    ] = None,
    name: Annotated[str | None, typer.Argument(help="Any text: 'prod', '내 Wiz 로그'.")] = None,
    *,
    chosen: SourceOptions,
) -> None:
    """Add a source, such as a Wiz tenant. With no options on a terminal, it asks, and says what to click where."""
    product = _product(kind, name)
    if (other := remote.chosen()) is not None:
        added = other.sources.add(_body(product, name, chosen))
        _say_added(added.name, added.id)
        return
    with opened() as installation:
        # A lost key is told before anything is asked.
        installation.vault()
        works = True
        if chosen.is_blank and somebody_is_there():
            found = wizard.ask(installation, product, name, chosen)
            row, secret, works = found.row, found.secret, found.works
        else:
            row, secret = _described(installation, product, name, chosen)
        resumes = sources.add(installation, row, secret)
        served = is_served(installation.home)
    _say_added(row.name, row.id, again=resumes)
    if not works:
        show.hint(f"It does not work yet. Next, correct it: ocelog source edit {row.id}")
    elif served:
        # It holds the home, so that a pull is refused.
        show.hint(f"The service begins to read it within seconds. Next: ocelog status {row.id}")
    else:
        show.hint("Next: ocelog pull")


def _say_added(name: str, source_id: str, *, again: bool = False) -> None:
    typer.echo(f"Added {name!r}{' again' if again else ''} (id {source_id}).")


def _body(product: Product, name: str | None, chosen: SourceOptions) -> dict[str, Any]:
    """Return what a remote Ocelog is to add. Raises ConfigError."""
    if chosen.is_blank and somebody_is_there():
        raise ConfigError(
            "From elsewhere, nothing is asked: give options, or add it in the console. See: ocelog source add --help"
        )
    secret = chosen.secret()
    named = _named(product, name, chosen)
    return {"product": product.name, "name": named, **chosen.body(secret or asked_secret())}


def _product(kind: str | None, name: str | None) -> Product:
    known = products()
    first = next(iter(known))
    if kind is None or kind in known:
        return known[kind or first]
    there_is_none = f"There is no kind of source {shown(kind)}"
    near = suggest(kind, known) if may_be_shown(kind) else ""
    if near or name is not None:
        raise ConfigError(there_is_none + (near or f"; it is {write_list(map(repr, known), 'or')}."))
    # Whoever forgets the product puts the name in its place.
    named = shlex.quote(kind) if may_be_shown(kind) else "NAME"
    raise ConfigError(f"{there_is_none}. If that is its name, run: ocelog source add {first} {named}")


def _described(
    installation: Installation, product: Product, name: str | None, chosen: SourceOptions
) -> tuple[SourceRow, GivenSecret]:
    """Return the source that the options describe and its secret, proven if that is wanted."""
    secret = chosen.secret()
    named = _named(product, name, chosen)
    change = chosen.change(secret)
    row = described(installation, product, named, change)
    secret = secret or asked_secret()
    tell_conflict(row, health.LISTENER)
    if change.check:
        prove(row, secret.value, "Nothing was saved; --no-check saves anyway.", health.LISTENER)
    return row, secret


def _named(product: Product, name: str | None, chosen: SourceOptions) -> str:
    """Return the name, if nothing is missing that a new source needs. Raises ConfigError."""
    missing = [each.flag for each in product.options if each.required and each.name not in chosen.own]
    if name is None:
        missing.insert(0, f"{product.name} NAME")
    if name is None or missing:
        raise ConfigError(f"Missing: {', '.join(missing)}. See: ocelog source add --help")
    return name


@options.with_options()
def edit(
    name: Name,
    *,
    no_project: Annotated[bool, typer.Option("--no-project", help="Read every project again.")] = False,
    chosen: SourceOptions,
) -> None:
    """Change a source; what you do not name stays as it is. A running service notices.

    With no options on a terminal, it asks what was asked when the source was added. --project and --log-type replace
    the whole list. A wider backfill reads only what is missing.
    """
    if no_project:
        chosen = replace(chosen, own={**chosen.own, "projects": []})
    secret = chosen.secret()
    if (other := remote.chosen()) is not None:
        if chosen.is_blank:
            raise ConfigError("No change was given, such as --poll 1m. See: ocelog source edit --help")
        changed = other.sources.edit(name, chosen.body(secret))
        show.paragraph(f"Changed {changed.name!r}.")
        return
    with opened() as installation:
        before = sources.find(installation, name)
        if not chosen.is_blank:
            done = edit_source(installation, before, chosen.change(secret), health.LISTENER)
        elif somebody_is_there():
            found = wizard.revise(installation, before, chosen)
            if found is None:
                show.paragraph("Nothing to change: all is as it was. For other settings: ocelog source edit --help")
                return
            done = found
        else:
            flags = [each.flag for each in sources.product_of(before).options]
            known = write_list(["--poll", "--backfill", "--log-type", *flags, "--client-secret-file"], "or")
            raise ConfigError(f"No change was given: give one or more of {known}. See: ocelog source edit --help")
        first = " (stop the service first)" if is_served(installation.home) else ""
    show.paragraph(f"Changed {done.row.name!r}.")
    if done.swept:
        show.remark(
            f"Open records of the added projects are read by a sweep. To read closed ones too{first}: ocelog pull "
            "--since 30d"
        )
    elif done.sees_more:
        show.remark(
            f"Of the added projects, only what changes from now on is read. To read their past{first}: ocelog pull "
            "--since 30d"
        )


@options.with_options(
    common=("client_secret_file", "client_secret_env", "client_secret_ref", "anyway"),
    wanted=lambda option: option.rotates,
)
def rotate(name: Name, *, chosen: SourceOptions) -> None:
    """Replace the client secret, after checking that the new one works. Nothing is pulled again."""
    secret = chosen.secret()
    if (other := remote.chosen()) is not None:
        source = other.sources.one(name)
        given = carried(secret or asked_secret("New client secret"))
        other.sources.rotate(source.id, {**chosen.own, "secret": given, "anyway": chosen.anyway})
        _say_rotated(source.name, products()[source.product])
        return
    with opened() as installation:
        before = sources.find(installation, name)
        secret = secret or asked_secret("New client secret")
        row = rotate_secret(installation, before, chosen.change(), secret, health.LISTENER)
    _say_rotated(row.name, sources.product_of(row))


def _say_rotated(name: str, product: Product) -> None:
    show.paragraph(f"{name!r} has its new secret. Now revoke the old one in {product.title}.")
