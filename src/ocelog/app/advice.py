"""What a person does about an error."""

from ocelog.errors import (
    AccessRefusedError,
    HaltError,
    OcelogError,
    OperatorError,
    SourceUnavailableError,
    TransientError,
)


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
            return "Free some space on that disk. It then goes on by itself, and nothing is lost."
        case SourceUnavailableError():
            return f"Nothing yet: it is tried again. If it goes on, run: ocelog source check {source}"
        case TransientError():
            return "Nothing: it is tried again."
        case _:
            return "Do what the message says; it is tried again every few minutes."
