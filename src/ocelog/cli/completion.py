"""What a shell is offered when Tab is pressed: at once, without opening the lake, and never with an error.

The signatures of the commands say which options there are. What the commands do is not needed for that, so while a
shell waits the libraries that they work with are not imported: stand-ins take their places.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

from ocelog.cli import place

_WORKED_WITH = frozenset(
    {
        *("alembic", "argon2", "cryptography", "duckdb", "fastavro", "httpx2", "prompt_toolkit", "pyarrow", "pygments"),
        *("pyiceberg", "rich", "sqlalchemy", "structlog"),
    }
)
"""Libraries that no signature of a command names."""


def complete(answer: Callable[[], object]) -> NoReturn:
    """Have `answer` print what a shell asked for, in the form that typer gives it, and exit."""
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - as long as the process
    sys.meta_path.insert(0, _StandIns())
    try:
        answer()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    except BaseException:  # noqa: BLE001 - whatever it is, it must not get between a person and the prompt
        code = 1
    else:
        code = 0
    sys.stdout.flush()
    # Not waiting for a server that does not answer.
    os._exit(code)


def sources(incomplete: str) -> list[str]:  # noqa: ARG001 - typer's own filter takes what begins so
    """Return the name of each source, or its id if a shell would have to quote the name."""
    if place.named() is not None:
        return []
    from ocelog.app.completion import source_names  # noqa: PLC0415 - for the shell only

    return source_names()


def products(incomplete: str) -> Sequence[str]:  # noqa: ARG001 - see above
    """Return the name of each product that has sources."""
    from ocelog.app.sources.sources import products as known  # noqa: PLC0415 - for the shell only

    return list(known())


def channels(incomplete: str) -> list[str]:  # noqa: ARG001 - see above
    """Return the name of each channel, or its id if a shell would have to quote the name."""
    if place.named() is not None:
        return []
    from ocelog.app.completion import channel_names  # noqa: PLC0415 - for the shell only

    return channel_names()


def users(incomplete: str) -> list[str]:  # noqa: ARG001 - see above
    """Return the name of each user of the console."""
    if place.named() is not None:
        return []
    from ocelog.app.completion import user_names  # noqa: PLC0415 - for the shell only

    return user_names()


def kinds(incomplete: str) -> Sequence[str]:  # noqa: ARG001 - see above
    """Return the name of each kind of channel."""
    from ocelog.app.alerts.channels import channel_kinds  # noqa: PLC0415 - for the shell only

    return list(channel_kinds())


def tables(incomplete: str) -> Sequence[str]:  # noqa: ARG001 - see above
    """Return the name of each table and view."""
    from ocelog.app.search.tables import meanings  # noqa: PLC0415 - for the shell only

    return list(meanings())


def lake_tables(incomplete: str) -> Sequence[str]:  # noqa: ARG001 - see above
    """Return the name of each table that has files."""
    from ocelog.app.log_types import table_names  # noqa: PLC0415 - for the shell only

    return table_names()


def log_types(incomplete: str) -> Sequence[str]:
    """Return the short name of each log type; its full one to whoever begins to type that."""
    from ocelog.app.log_types import kinds, short_names  # noqa: PLC0415 - for the shell only

    return [*short_names(), *(kinds() if incomplete else ())]


def rule_folders(incomplete: str) -> Sequence[str]:  # noqa: ARG001 - see above
    """Return the name of each registered folder of rules."""
    if place.named() is not None:
        return []
    from ocelog.app.completion import rule_folder_names  # noqa: PLC0415 - for the shell only

    return rule_folder_names()


def rules(incomplete: str) -> Sequence[str]:  # noqa: ARG001 - see above
    """Return the id of each rule."""
    if place.named() is not None:
        return []
    from ocelog.app.completion import rule_ids  # noqa: PLC0415 - for the shell only

    return rule_ids("RuleID", "QueryName")


def rules_and_packs(incomplete: str) -> Sequence[str]:  # noqa: ARG001 - see above
    """Return the id of each rule and of each pack."""
    if place.named() is not None:
        return []
    from ocelog.app.completion import rule_ids  # noqa: PLC0415 - for the shell only

    return rule_ids("RuleID", "QueryName", "PackID")


class _StandIns(MetaPathFinder, Loader):
    """Imports a module that stands in for one that takes long."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        return (
            ModuleSpec(fullname, self, is_package=True) if fullname.split(".", maxsplit=1)[0] in _WORKED_WITH else None
        )

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _Module(ModuleType):
    def __getattr__(self, name: str) -> "_Anything":
        if name.startswith("__"):
            raise AttributeError(name)
        return _ANYTHING


class _Anything:
    """Stands in for whatever a module takes from a library: it may be called, indexed, compared and added up."""

    def __getattr__(self, name: str) -> "_Anything":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: object, **__: object) -> "_Anything":
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __hash__(self) -> int:
        return 1

    def __mro_entries__(self, _: object) -> tuple[()]:
        return ()

    def _operated(self, _: object) -> Any:
        return self

    __getitem__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _operated
    __or__ = __ror__ = __and__ = __rand__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _operated

    def __invert__(self) -> "_Anything":
        return self


_ANYTHING = _Anything()
