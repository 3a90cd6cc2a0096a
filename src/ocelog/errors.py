"""What can go wrong, sorted by what happens next.

OcelogError
├── OperatorError
│   ├── ChannelRefusedError
│   ├── ConfigError
│   ├── HomeError
│   ├── LakeDamagedError
│   ├── QueryError
│   ├── RuleFileError
│   ├── SandboxError
│   ├── SchemaError
│   └── SignInRefusedError
├── TransientError
│   ├── ChannelUnavailableError
│   ├── LakeUnavailableError
│   ├── LedgerUnavailableError
│   ├── LostFenceError
│   ├── QueryBusyError
│   ├── RemoteUnavailableError
│   ├── SourceThrottledError
│   └── SourceUnavailableError
└── HaltError
    ├── AccessRefusedError
    └── ContractBrokenError

OperatorError: a person must change something (exit code 2). TransientError: the same call may work later (exit
code 3). HaltError: this stream stops, the others go on, and `ocelog status` says why (exit code 2).
"""

import re
from collections.abc import Iterator
from datetime import timedelta

from ocelog.languages.phrases import Phrase

CAUSES = {
    "disk_full": "The disk is full.",
    "web_page": "A proxy or firewall answers in the source's place, with a web page.",
    "scope_missing": "The source says which scope the service account lacks.",
    "credentials_refused": "The source refuses the client ID and the secret.",
    "access_denied": "The source denies access, and does not say why.",
    "address_forbidden": "The address leads to a private network or to this machine, which the channel does not allow.",
    "query_cancelled": "Somebody ended the query before it was done.",
    "query_only_now": "The query reads a table that says how things are now, and was asked about the past.",
    "sign_in_throttled": "Signing in failed too often of late: it works again after the wait that the message names.",
    "loop_stalls": "A loop of the service has tried the same thing again and again for an hour.",
    "loop_hangs": "A loop of the service has not come any further for an hour.",
    "declined": "Somebody answered a question with no, or left it, so nothing was done.",
    "secret_unreadable": "The client secret cannot be read: its key, or the place where it is kept, is unusable.",
}
"""The codes of causes, and what each means."""


class OcelogError(Exception):
    """Anything that Ocelog raises on purpose. The message says what was expected, what came, and what to do next.

    `code` is stable, while messages may change: advice, JSON and docs go by it. Each class has a code of its own; if
    the cause decides what to do, the error has the cause's code, one of `CAUSES`.

    `table` is what the message is about, and `todo` what to do, if they are known apart; whoever shows the error beside
    the name of the table, or does by itself what there is to do, leaves them out.
    """

    code = "unexpected"

    def __init__(
        self, message: str, *, code: str | None = None, table: str | None = None, todo: str | None = None
    ) -> None:
        self.what, self.table, self.todo = message, table, todo
        super().__init__(self.beside(None))
        if code is not None:
            self.code = code

    @property
    def phrase(self) -> str:
        """The message, as what it was made of unless a table stands before it: whoever shows it may translate it."""
        if self.todo and self.table is None:
            return Phrase("%(what)s %(todo)s", what=self.what, todo=self.todo)
        return self.what if str(self) == self.what else str(self)

    def beside(self, table: object) -> str:
        """Return the message as it stands beside the name of `table`, which then need not be in it."""
        message = f"{self.what} {self.todo}" if self.todo else self.what
        return message if self.table in (None, table) else f"{self.table}: {message}"


class OperatorError(OcelogError):
    """A person must change something before the same call can work."""

    code = "action_required"


class ChannelRefusedError(OperatorError):
    """A channel will never take the message: its address, its secret or what it may do is wrong."""

    code = "channel_refused"


class ConfigError(OperatorError):
    """A setting, an option or an argument is invalid."""

    code = "config_invalid"


class HomeError(OperatorError):
    """The home (folder, lock, key file, owner, version, place) is not fit for the command."""

    code = "home_unfit"


class LakeDamagedError(OperatorError):
    """A file that the lake or the ledger names is lost or damaged; the message names it."""

    code = "lake_damaged"


class QueryError(OperatorError):
    """A query is wrong, not allowed, or takes too much."""

    code = "query_invalid"
    column: str | None = None
    """The column that there is not, if that is what is wrong."""


class RuleFileError(OperatorError):
    """A file of rules is wrong; the message opens with `file:line:`."""

    code = "rule_file_invalid"


class SandboxError(OperatorError):
    """SQL cannot be run safely on this machine: its process does not start, or cannot be confined."""

    code = "sandbox_failed"


class SchemaError(OperatorError):
    """A log schema file is wrong; the message opens with `file:line:`."""

    code = "schema_invalid"


class SignInRefusedError(OperatorError):
    """The name or the password of a user is wrong, or it was tried too often."""

    code = "sign_in_refused"


class TransientError(OcelogError):
    """The same call may work later; `retry_after` is how long the other side asked us to wait, if it did."""

    code = "try_later"

    def __init__(
        self,
        message: str,
        *,
        retry_after: timedelta | None = None,
        code: str | None = None,
        table: str | None = None,
        todo: str | None = None,
    ) -> None:
        super().__init__(message, code=code, table=table, todo=todo)
        self.retry_after = retry_after


class ChannelUnavailableError(TransientError):
    """A channel could not take a message just now: it did not answer, is rate-limiting, or answered that it is down."""

    code = "channel_unavailable"


class LakeUnavailableError(TransientError):
    """A part or table of the lake could not be written or read just now (a full disk, a lost race)."""

    code = "lake_unavailable"


class LedgerUnavailableError(TransientError):
    """The ledger's database did not answer, or was busy for too long."""

    code = "ledger_unavailable"


class LostFenceError(TransientError):
    """Another process has taken over this work (a slice, a replay): nothing was landed, and nothing must be."""

    code = "overtaken"


class QueryBusyError(TransientError):
    """As many queries run as may run at once, of one user or in all."""

    code = "query_busy"


class RemoteUnavailableError(TransientError):
    """A remote Ocelog did not answer, broke off, or cannot do it just now."""

    code = "remote_unavailable"


class SourceThrottledError(TransientError):
    """The source is rate-limiting requests."""

    code = "rate_limited"


class SourceUnavailableError(TransientError):
    """The source did not answer, or answered that it is down."""

    code = "source_unavailable"


class HaltError(OcelogError):
    """A stream cannot go on until its tenant changes; the other streams do."""

    code = "stream_stopped"


class AccessRefusedError(HaltError):
    """The service account may not read this: credentials, scope or project are wrong.

    The code is `scope_missing` if the answer lists the scopes that are needed and those that are there, `access_denied`
    if it only says that access is denied, else the class's.
    """

    code = "access_refused"


class ContractBrokenError(HaltError):
    """The source answered something that no version of its API is known to say."""

    code = "contract_broken"


def error_class(code: str) -> type[OcelogError] | None:
    """Return the class whose own code this is: what an error was of which the ledger keeps the code of its class."""
    return _BY_CODE.get(code)


def _classes(of: type[OcelogError]) -> Iterator[type[OcelogError]]:
    yield of
    for each in of.__subclasses__():
        yield from _classes(each)


_BY_CODE = {each.code: each for each in _classes(OcelogError)}


_NUMBER = re.compile(r"\[Errno -?\d+\] ")


def without_number(error: BaseException) -> str:
    """Return what `error` says, in words alone: `Connection refused`, not `[Errno 111] Connection refused`."""
    said = str(error)
    return _NUMBER.sub("", said)
