"""What a person does about an error."""

from ocelog.errors import (
    AccessRefusedError,
    HaltError,
    OcelogError,
    OperatorError,
    SourceUnavailableError,
    TransientError,
)

_RETRIED = "Nothing yet: it is tried again."
_SOON = "; it is tried again every few minutes."
_BY_ITSELF = "It then goes on by itself, and nothing is lost."
_WHILE_IDLE = {
    _RETRIED: "Nothing is running, so nothing tries it again: run `ocelog pull` or `ocelog run`.",
    _SOON: ", then run `ocelog pull` or `ocelog run`.",
    _BY_ITSELF: "Then run `ocelog pull` or `ocelog run`. Nothing is lost.",
}


def while_idle(todo: str) -> str:
    """Return what a person does instead of `todo` while nothing runs that would keep its promise to try again."""
    for promise, instead in _WHILE_IDLE.items():
        todo = todo.replace(promise, instead)
    return todo


def todo(error: OcelogError, source: str) -> str:
    """Return what a person does about `error`, which befell a stream of `source`."""
    match error:
        case HaltError(__cause__=OperatorError()):
            return (
                f"Do what the message says. To enter the secret again under a usable key: ocelog source rotate {source}"
            )
        case OcelogError(code="web_page"):
            return (
                "Look at the proxy or firewall between this machine and the source: it seems to answer in the source's "
                f"place, and must let all URLs of the source through. Then run: ocelog source check {source}"
            )
        case AccessRefusedError():
            return f"Do what the message says, then run: ocelog source check {source}"
        case HaltError():
            return f"Run: ocelog source check {source}. If it finds nothing wrong, please report the message."
        case OcelogError(code="disk_full"):
            return f"Free some space on that disk. {_BY_ITSELF}"
        case SourceUnavailableError():
            return f"{_RETRIED} If it goes on, run: ocelog source check {source}"
        case TransientError():
            return _RETRIED
        case _:
            return f"Do what the message says{_SOON}"
