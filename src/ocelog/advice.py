"""What a person does about an error."""

from ocelog.errors import HaltError, OcelogError, OperatorError, TransientError


def todo(error: OcelogError, source: str) -> str:
    """Return what a person does about `error`, which befell a stream of `source`."""
    match error:
        case HaltError(__cause__=OperatorError()):
            return f"Set the key or the secret's file back as the message says, or type: ocelog source rotate {source}"
        case HaltError():
            return (
                "Mend it in Wiz or in the source's settings (a new secret: ocelog source rotate), then look: "
                "ocelog source check"
            )
        case TransientError() if any(words in str(error) for words in ("disk is full", "is short of disk")):
            return "Free some space on that disk; it goes on by itself then, and nothing is lost."
        case TransientError():
            return "Nothing: it is tried again."
        case _:
            return "Do what the message says; it is tried again every few minutes."
