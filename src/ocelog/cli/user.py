"""`ocelog user`: who may use the console, from the machine itself; also for an admin who forgot the password."""

import getpass
from typing import Annotated

import typer

from ocelog.access import Role, User
from ocelog.app import users
from ocelog.app.users import Origin
from ocelog.cli import show
from ocelog.cli.secret_input import Wanted, asked_secret, given_secret
from ocelog.errors import ConfigError
from ocelog.installation.opening import opened
from ocelog.secret import Secret
from ocelog.times import from_us
from ocelog.units import write_instant

app = typer.Typer(help="Add, list and change users of the console.", no_args_is_help=True, rich_markup_mode=None)
_PASSWORD = Wanted(what="password", ways="--password-file FILE (- is stdin) or --password-env VARIABLE")
Name = Annotated[str, typer.Argument(help="The user's name, such as an e-mail address.", show_default=False)]
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
    with opened(reading=True) as installation:
        listed = installation.ledger.users.listed()
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


@app.command("add")
def add(
    name: Name,
    *,
    role: RoleOption = Role.VIEWER,
    password_file: PasswordFile = None,
    password_env: PasswordVariable = None,
) -> None:
    """Add a user of the console; asks for a password unless an option hands it in."""
    with opened() as installation:
        ledger = installation.ledger.users
        password = _password(password_file, password_env)
        user = users.add(ledger, name, role, password, by=_owner(), origin=_HERE)
    show.paragraph(f"Added {user.name!r} as {user.role.value}.")


@app.command("role")
def role(name: Name, role: Annotated[Role, typer.Argument(help="viewer, analyst or admin.")]) -> None:
    """Give a user another role, and sign them out."""
    with opened() as installation:
        user = users.change_role(installation.ledger.users, name, role, by=_owner(), origin=_HERE)
    show.paragraph(f"{user.name!r} is {user.role.value} now.")


@app.command("password")
def password(name: Name, *, password_file: PasswordFile = None, password_env: PasswordVariable = None) -> None:
    """Give a user another password, and sign them out."""
    with opened() as installation:
        given = _password(password_file, password_env)
        user = users.set_password(installation.ledger.users, name, given, by=_owner(), origin=_HERE)
    show.paragraph(f"{user.name!r} signs in with the new password from now on.")


@app.command("disable")
def disable(name: Name) -> None:
    """Let a user in no more, and sign them out. What they did stays on the trail."""
    with opened() as installation:
        user = users.disable(installation.ledger.users, name, by=_owner(), origin=_HERE)
    show.paragraph(f"{user.name!r} is let in no more.")


@app.command("enable")
def enable(name: Name) -> None:
    """Let a user in again."""
    with opened() as installation:
        user = users.enable(installation.ledger.users, name, by=_owner(), origin=_HERE)
    show.paragraph(f"{user.name!r} is let in again.")


_HERE = Origin(address="", browser="ocelog user")


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
