"""How parent and child speak to each other: the parent tells it one thing, and hears one answer before the next.

An answer has the name and the number of what it answers. So the parent knows at what a child was that ended or hangs,
and what a rule wrote in its place is taken for no answer, unless it went to the trouble of finding out the number.
"""

import secrets
import time
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from ocelog.sandbox.child import Child

_SAYS_ELSE = "wrote something else than its answer"


class _Answer(Protocol):
    @property
    def nonce(self) -> int: ...


_Said = TypeVar("_Said", bound=_Answer)


class _Failure(msgspec.Struct, forbid_unknown_fields=True):
    why: str


class NoAnswer(Exception):  # noqa: N818 - it is told as what a rule did, and never raised to whoever asked
    """The child ended, hangs, or says what it was not asked: it is good for nothing any more. The message says how."""

    def __init__(self, why: str, name: str) -> None:
        super().__init__(why)
        self.name = name
        """What an error of this kind is called, as exceptions are."""


def exchange(
    child: Child, step: str, message: Mapping[str, Any], expected: type[_Said], seconds: float, slack: float = 0.0
) -> tuple[_Said, int]:
    """Tell the child to do something, and return its answer, and how many bytes that has. Raises NoAnswer.

    It has so many `seconds`, and then some `slack`.
    """
    nonce = secrets.randbits(53)
    deadline = time.monotonic() + seconds + slack
    try:
        child.send(step, msgspec.msgpack.encode({"nonce": nonce, **message}), deadline=deadline)
        frame = child.receive(deadline)
        if frame.kind == "failed":
            raise NoAnswer(msgspec.json.decode(frame.payload, type=_Failure).why[:1_000], "Failed")
        found = msgspec.json.decode(frame.payload, type=expected)
    except TimeoutError:
        raise NoAnswer(f"took longer than {seconds:g} s", "TimeoutError") from None
    except EOFError:
        raise NoAnswer(child.describe_end(), "ProcessEnded") from None
    except (ValueError, RecursionError, msgspec.MsgspecError):
        raise no_answer() from None
    if frame.kind != step or found.nonce != nonce:
        raise no_answer()
    return found, len(frame.payload)


def no_answer() -> NoAnswer:
    """Return what to raise for an answer that is about something else than what was asked."""
    return NoAnswer(_SAYS_ELSE, "ForeignAnswer")
