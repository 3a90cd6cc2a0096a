"""How the tests of rules are run: in a child that may read their checkout and nothing else."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ocelog.detect.checkout import checkout_root
from ocelog.detect.testing import Failure, Left, Report
from ocelog.errors import RuleFileError, SandboxError
from ocelog.sandbox.child import Bounds, Child, Spec
from ocelog.sandbox.kernel import EVERY, Layers

MEMORY = 512 << 20
"""Bytes that rules may take."""
CALL_SECONDS = 15
"""A call of a rule takes at most so long."""
READING_SECONDS = 120
"""So long a checkout may take to be read, some thousand files."""
_WHOLE_SECONDS = 3600
_PACKAGES = ("yaml", "dateutil", "six", "msgspec", "jsonpath_ng", "ply")


@dataclass(slots=True, kw_only=True)
class RuleTests:
    """The tests of the rules of one path, while they run."""

    path: Path
    keep_out: tuple[str, ...] = ()
    """Folders with secrets."""
    only: Layers = EVERY
    told: Callable[[int, int], None] = lambda done, of: None
    """Hears how many rules of how many are tested."""
    call_seconds: float = CALL_SECONDS
    _done: dict[str, tuple[int, int]] = field(default_factory=dict)
    _failed: list[Failure] = field(default_factory=list)
    _found: dict[str, Any] = field(default_factory=dict)

    def run(self) -> Report:
        """Run them all. Raises RuleFileError, and SandboxError if this machine cannot keep the rules in."""
        while not self._run_some():
            pass
        rules = self._found["rules"]
        broken = [Failure(**each) for each in self._found["broken"]]
        return Report(
            rules=len(set(rules) | {each.rule for each in broken}),
            tests=sum(tests for tests, _ in self._done.values()),
            passed=sum(passed for _, passed in self._done.values()),
            failed=(*broken, *self._failed),
            not_run=tuple(Left(**each) for each in self._found["not_run"]),
        )

    def _run_some(self) -> bool:
        """Run the tests that are left in one child, until it ends; True: nothing is left.

        A rule in whose tests the child ends, or takes too long, has failed; the others go on in the next.
        """
        child = Child(spec=self._spec(), only=self.only)
        at: str | None = None
        try:
            if not child.layers.seccomp:
                raise SandboxError("This kernel has no seccomp, which keeps rules from doing harm: they are not run.")
            child.send("test", json.dumps({"path": str(self.path), "done": list(self._done)}).encode())
            seconds: float = READING_SECONDS
            while True:
                frame = child.receive(deadline=time.monotonic() + seconds)
                told = json.loads(frame.payload)
                match frame.kind:
                    case "refused":
                        raise RuleFileError(told["why"])
                    case "found":
                        self._found = told
                    case "begin":
                        at = told["rule"]
                    case "done":
                        self._note(told)
                        at = None
                    case "end":
                        return True
                seconds = self._seconds(at)
        except TimeoutError:
            self._lost(at, f"took longer than {self.call_seconds:g} s")
        except EOFError:
            self._lost(at, _end(child.exit_code))
        except (ValueError, KeyError, TypeError):
            self._lost(at, "sent something else than the outcome of its tests")
        finally:
            child.close()
        return False
