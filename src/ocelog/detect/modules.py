"""How the Python of a rule becomes a module: fresh for each rule, with the checkout's helpers to import by their ids.

Each rule gets helpers of its own, so that none sees what another has changed in them. This keeps rules apart by
accident only; what holds back a rule that means harm is the process that it runs in.
"""

import builtins
import sys
import traceback
from collections.abc import Callable, Mapping
from types import CodeType, ModuleType
from typing import Any

from msgspec import Struct

from ocelog.detect.event import Event, EventList
from ocelog.suggest import suggest


class Fault(Struct, frozen=True, kw_only=True):
    """What went wrong in a function of a rule, or before it could be called."""

    function: str
    """`setup`, if the rule could not be called at all."""
    type: str
    """The name of the exception's class; rule errors are grouped by it."""
    message: str
    is_fatal: bool = False
    """Whether it was no `Exception`, such as SystemExit."""

    def __str__(self) -> str:
        return f"{self.function}: {self.type}: {self.message}" if self.message else f"{self.function}: {self.type}"


_MOST_CHARACTERS = 1_000


class Modules:
    """The Python files of a checkout, ready to be loaded."""

    def __init__(
        self, sources: Mapping[str, str], helpers: Mapping[str, str], refused: Mapping[str, str] | None = None
    ) -> None:
        """Take the text of each file, the file of each helper by its id, and why the text of others is not here."""
        self._sources = sources
        self._refused = refused or {}
        self._helpers = helpers
        self._codes: dict[str, CodeType] = {}

    def load(self, file: str) -> ModuleType | Fault:
        """Load `file` as a module of its own, or return why it cannot be."""
        if file not in self._sources:
            why = self._refused.get(file, f"there is no file {file}")
            return Fault(function="setup", type="FileNotFoundError", message=why)
        try:
            return _Loading(self).module(file.rpartition("/")[2].removesuffix(".py"), file)
        except BaseException as error:  # noqa: BLE001  # SystemExit too is the rule's fault, not ours
            return self._setup_fault(error)

    def code(self, file: str) -> CodeType:
        """Compile `file`, once."""
        if file not in self._codes:
            self._codes[file] = compile(self._sources[file], file, "exec", dont_inherit=True)
        return self._codes[file]

    def helper(self, name: str) -> str | None:
        """Return the file of the helper `name`."""
        file = self._helpers.get(name)
        return file if file in self._sources else None

    def fault(self, function: str, error: BaseException) -> Fault:
        """Return what `error`, raised in `function` of a rule, says, with the line that it comes from."""
        # Without the text of the lines, which would be looked for at each frame, in files that are not there.
        mine = ""
        for frame, line in traceback.walk_tb(error.__traceback__):
            if (file := frame.f_code.co_filename) in self._sources:
                mine = f" ({file}:{line})"
        return Fault(
            function=function,
            type=type(error).__name__,
            message=_described(error) + mine,
            is_fatal=not isinstance(error, Exception),
        )

    def _setup_fault(self, error: BaseException) -> Fault:
        fault = self.fault("setup", error)
        if isinstance(error, ModuleNotFoundError) and (file := self._helpers.get(error.name or "")) is not None:
            message = f"the helper {error.name!r} is missing: {self._refused.get(file, f'there is no file {file}')}"
            if file in self._sources:
                message = f"import the helper {error.name!r} by an import statement: importlib does not find it here"
            return Fault(function="setup", type=fault.type, message=message)
        if isinstance(error, ModuleNotFoundError) and error.name:
            hint = suggest(error.name, self._helpers)
            message = f"the package {error.name.partition('.')[0]!r} is not installed here, and is no helper of the "
            return Fault(function="setup", type=fault.type, message=f"{message}checkout{hint}")
        if isinstance(error, SyntaxError):
            # A file with a NUL has no line that is wrong.
            place = f"{error.filename}:{error.lineno}: " if error.filename else ""
            message = f"{place}{error.msg}"
            return Fault(function="setup", type=fault.type, message=message)
        return fault


def _described(raised: BaseException) -> str:
    try:
        return " ".join(str(raised).split())[:_MOST_CHARACTERS]
    except BaseException:  # noqa: BLE001  # the rule's own exception may raise when it is asked what it says
        return "(it cannot say what is wrong)"


class _Loading:
    """One rule's modules, while and after they are loaded: its own, and its helpers."""

    def __init__(self, modules: Modules) -> None:
        self._modules = modules
        self._loaded: dict[str, ModuleType] = dict(_shims())
        self._builtins: dict[str, Any] = {**vars(builtins), "__import__": self._import}
        self._import_other: Callable[..., Any] = builtins.__import__

    def module(self, name: str, file: str) -> ModuleType:
        code = self._modules.code(file)
        module = ModuleType(name)
        module.__file__ = file
        vars(module)["__builtins__"] = self._builtins
        self._loaded.setdefault(name, module)
        # Dataclasses and enums look up the module that they are made in; afterwards nobody does.
        shown = sys.modules.setdefault(name, module) is module
        try:
            exec(code, vars(module))  # noqa: S102  # it is what a rule is for
        except BaseException:
            if self._loaded.get(name) is module:
                del self._loaded[name]
            raise
        finally:
            if shown:
                sys.modules.pop(name, None)
        return module

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002  # the names that Python calls it with
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Any = (),
        level: int = 0,
    ) -> ModuleType:
        if level == 0:
            if (file := self._modules.helper(name)) is not None:
                return self._helper(name, file)
            top = name.partition(".")[0]
            if top in _SHIM_NAMES and name in self._loaded:
                return self._loaded[name if fromlist else top]
        found: ModuleType = self._import_other(name, globals, locals, fromlist, level)
        return found

    def _helper(self, name: str, file: str) -> ModuleType:
        found = self._loaded.get(name)
        if found is None or found.__file__ != file:
            self._loaded.pop(name, None)
            found = self.module(name, file)
        return found


_SHIM_NAMES = frozenset({"panther_core"})


def _shims() -> dict[str, ModuleType]:
    """Return modules by which rules import the names of the event's types, for annotations and for isinstance."""
    names = {"PantherEvent": Event, "ImmutableCaseInsensitiveDict": Event, "ImmutableList": EventList}
    found = {
        name: ModuleType(name) for name in ("panther_core", "panther_core.enriched_event", "panther_core.immutable")
    }
    for name, module in found.items():
        vars(module).update(names)
        if child := name.partition(".")[2]:
            setattr(found["panther_core"], child, module)
    found["panther_core"].__path__ = []
    return found
