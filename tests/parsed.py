"""Our modules as trees, each parsed once by a process: tests of the house look at all of them, again and again."""

import ast
from functools import cache
from pathlib import Path


@cache
def parsed(path: Path) -> ast.Module:
    """Return the tree of a module. It is shared: who changes it parses it alone."""
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return all nodes of a module, a parent before its children."""
    return tuple(ast.walk(parsed(path)))
