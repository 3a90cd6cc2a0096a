"""What is printed without being wrapped fits the narrowest terminal as it is written."""

import ast
from collections.abc import Iterator
from pathlib import Path

from ocelog.cli.sql import _HELP
from ocelog.cli.tables import JSON_HINT
from parsed import nodes, parsed

SOURCE = Path(__file__).parents[2] / "src"


def printed_as_they_are() -> Iterator[tuple[str, str]]:
    """Yield where a text of ours is printed without being wrapped, and each of its lines, without what is put in."""
    for path in sorted(SOURCE.rglob("*.py")):
        named = {ast.unparse(each.targets[0]): each.value for each in parsed(path).body if isinstance(each, ast.Assign)}
        for call in nodes(path):
            if isinstance(call, ast.Call) and call.args and ast.unparse(call.func) in {"typer.echo", "print"}:
                whole = call.args[0]
                parts = whole.values if isinstance(whole, ast.JoinedStr) else [whole]
                inner = [each.value if isinstance(each, ast.FormattedValue) else each for each in parts]
                texts = [named.get(ast.unparse(each), each) for each in inner]
                told = "".join(str(each.value) for each in texts if isinstance(each, ast.Constant))
                yield from ((f"{path.relative_to(SOURCE)}:{call.lineno}", line) for line in told.split("\n"))


def test_lines_that_are_printed_as_they_are_fit_80_columns() -> None:
    lines = list(printed_as_they_are())
    told = {line for _, line in lines}
    assert {_HELP.splitlines()[0], JSON_HINT.splitlines()[0]} <= told, "constants are looked at, too"
    assert [(place, line) for place, line in lines if len(line) > 80] == []
