"""How a command asks a remote Ocelog: with which token."""

from typing import TYPE_CHECKING

from ocelog.cli import place, show
from ocelog.errors import ConfigError
from ocelog.installation import config
from ocelog.secrets.secret import Secret

if TYPE_CHECKING:
    # Imported only for whoever asks a remote Ocelog: what speaks HTTP takes long.
    from ocelog.remote.remote import Remote


def chosen() -> "Remote | None":
    """Return the remote Ocelog that the command is for; None: it is for the home of this machine.

    Raises ConfigError if its address or its token does not hold.
    """
    named = place.named()
    if named is None:
        return None
    from ocelog.remote.client import Client  # noqa: PLC0415 - see above
    from ocelog.remote.remote import Remote  # noqa: PLC0415 - see above

    return Remote(Client(named.url, _token(named.token_file), told=show.remark))


def _token(file: str | None) -> Secret:
    token = config.remote_token() if file is None else _read(file)
    if token is None:
        raise ConfigError(
            "There is no token: put it into OCELOG_TOKEN, or into a file that --token-file names. To make one, run "
            "where that Ocelog is: ocelog user token add --help"
        )
    if not token.reveal().isascii() or not token.reveal().isprintable():
        raise ConfigError("The token is not one that Ocelog made: copy it anew.")
    return token


def _read(file: str) -> Secret | None:
    from ocelog.cli.secret_input import SecretRequest, given_secret  # noqa: PLC0415 - takes long, too

    wanted = SecretRequest(what="token", ways="OCELOG_TOKEN or --token-file FILE (- is stdin)")
    given = given_secret(file=file, variable=None, reference=None, wanted=wanted)
    return None if given is None else given.value
