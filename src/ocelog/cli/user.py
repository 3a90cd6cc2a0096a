"""`ocelog user`: who may use the console and the API, from the machine itself; also for who forgot the password."""

import getpass
from collections.abc import Sequence
from typing import Annotated

import typer

from ocelog.access import Role, Scope, User
from ocelog.app.users import users
from ocelog.app.users.users import Origin
from ocelog.cli import completion, remote, show
from ocelog.cli.option_values import option_value
from ocelog.cli.secret_input import SecretRequest, asked_secret, given_secret
from ocelog.errors import ConfigError
from ocelog.installation.opening import opened
from ocelog.secrets.secret import Secret
from ocelog.times import from_us
from ocelog.units import duration, write_instant

app = typer.Typer(help="Add, list and change users of the console.", no_args_is_help=True, rich_markup_mode=None)
_PASSWORD = SecretRequest(what="password", ways="--password-file FILE (- is stdin) or --password-env VARIABLE")
NewName = Annotated[str, typer.Argument(help="The user's name, such as an e-mail address.", show_default=False)]
Name = Annotated[
    str,
    typer.Argument(
        help="The user's name, such as an e-mail address.", show_default=False, autocompletion=completion.users
    ),
]
PasswordFile = Annotated[
    str | None, typer.Option("--password-file", metavar="FILE", help="Read the password from a file; - is stdin.")
]
PasswordVariable = Annotated[
    str | None, typer.Option("--password-env", metavar="VARIABLE", help="Read the password from a variable.")
]
RoleOption = Annotated[Role, typer.Option("--role", help="viewer sees, analyst triages, admin changes everything.")]


@app.command("list")
def list_(*, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the users."""
    if (other := remote.chosen()) is not None:
        listed: Sequence[User] = other.users.listed()
    else:
        with opened(reading=True) as installation:
            listed = users.listed(installation)
    if not listed and not json:
        show.hint("There is no user yet. Add one: ocelog user add you@example.com --role admin")
    show.table_or_json(
        [
            {
                "name": each.name,
                "role": each.role.value,
                "since": write_instant(from_us(each.added_us)),
                "disabled": None if each.disabled_us is None else write_instant(from_us(each.disabled_us)),
            }
            for each in listed
        ],
        json=json,
    )


@app.command("add", short_help="Add a user of the console.")
def add(
    name: NewName,
    *,
    role: RoleOption = Role.VIEWER,
    password_file: PasswordFile = None,
    password_env: PasswordVariable = None,
) -> None:
    """Add a user of the console; asks for a password unless an option hands it in."""
    with opened() as installation:
        password = _password(password_file, password_env)
        user = users.add(installation, name, role, password, by=_owner(), origin=_HERE)
    show.paragraph(f"Added {user.name!r} as {user.role.value}.")


@app.command("role")
def role(name: Name, role: Annotated[Role, typer.Argument(help="viewer, analyst or admin.")]) -> None:
    """Give a user another role, and sign them out."""
    with opened() as installation:
        user = users.change_role(installation, name, role, by=_owner(), origin=_HERE)
    show.paragraph(f"{user.name!r} is {user.role.value} now.")


@app.command("password")
def password(
    name: Name,
    *,
    password_file: PasswordFile = None,
    password_env: PasswordVariable = None,
    revoke_tokens: Annotated[
        bool,
        typer.Option("--revoke-tokens", help="Revoke their API tokens, too, as if somebody else may have made one."),
    ] = False,
) -> None:
    """Give a user another password, and sign them out."""
    with opened() as installation:
        given = _password(password_file, password_env)
        user = users.set_password(installation, name, given, by=_owner(), origin=_HERE, revokes_tokens=revoke_tokens)
    show.paragraph(f"{user.name!r} signs in with the new password from now on.")


@app.command("disable")
def disable(name: Name) -> None:
    """Let a user in no more, and sign them out. What they did stays on the trail."""
    with opened() as installation:
        user = users.disable(installation, name, by=_owner(), origin=_HERE)
    show.paragraph(f"{user.name!r} is let in no more.")


@app.command("enable")
def enable(name: Name) -> None:
    """Let a user in again."""
    with opened() as installation:
        user = users.enable(installation, name, by=_owner(), origin=_HERE)
    show.paragraph(f"{user.name!r} is let in again.")


tokens = typer.Typer(help="Add, list and revoke tokens of the REST API.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(tokens, name="token")


@tokens.command("add", short_help="Make a token that lets a program in as a user.")
def add_token(
    user: Name,
    *,
    name: Annotated[str, typer.Option("--name", help="What the token is for.", show_default=False)],
    scope: Annotated[
        Scope, typer.Option("--scope", help="read sees, triage works with alerts, admin does everything.")
    ] = Scope.READ,
    lasts: Annotated[str, typer.Option("--for", metavar="90d", help="How long it works, at most 366d.")] = "90d",
) -> None:
    """Make a token that lets a program in as a user, and print it: it is not shown again."""
    with opened() as installation:
        owner = users.find(installation, user)
        made, secret = users.add_token(
            installation, owner, name, scope, by=_owner(), origin=_HERE, lasts=option_value("--for", duration, lasts)
        )
    show.remark(f"It works until {write_instant(from_us(made.ends_us))}. Keep it secret: it is not shown again.")
    typer.echo(secret.reveal())


@tokens.command("list")
def list_tokens(*, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the tokens, and when each was used last."""
    with opened(reading=True) as installation:
        listed = users.tokens(installation, of=None)
    if not listed and not json:
        show.hint("There is no token yet. Add one: ocelog user token add --help")
    show.table_or_json(
        [
            {
                "id": token.id,
                "user": owner.name,
                "name": token.name,
                "scope": token.scope.value,
                "since": write_instant(from_us(token.made_us)),
                "until": write_instant(from_us(token.ends_us)),
                "used": None if token.used_us is None else write_instant(from_us(token.used_us)),
            }
            for token, owner in listed
        ],
        json=json,
    )


@tokens.command("revoke")
def revoke_token(
    token: Annotated[str, typer.Argument(help="The token's id. See: ocelog user token list", show_default=False)],
) -> None:
    """Let nobody in with a token any more."""
    with opened() as installation:
        found, owner = users.find_token(installation, token, of=None)
        users.revoke_token(installation, found, owner, by=_owner(), origin=_HERE)
    show.paragraph(f"The token {found.name!r} of {owner.name!r} is revoked.")


_HERE = Origin(address="", browser="shell")


def _owner() -> User:
    """Return who types the command: whoever may write the home may do everything."""
    return User(id="", name=f"{getpass.getuser()} (shell)", role=Role.ADMIN, added_us=0)


def _password(file: str | None, variable: str | None) -> Secret:
    given = given_secret(file=file, variable=variable, reference=None, wanted=_PASSWORD)
    if given is not None:
        return given.value
    first = asked_secret("Password", wanted=_PASSWORD).value
    if first != asked_secret("Again", wanted=_PASSWORD).value:
        raise ConfigError("The two passwords differ. Nothing was changed.")
    return first
