"""How a YAML file of rules is opened: with a bound on its size, and errors of its own."""

from ocelog.errors import RuleFileError
from ocelog.yaml_nodes import Node
from ocelog.yaml_nodes import parse as parse_yaml

MAX_BYTES = 2_000_000


def parse(text: str, origin: str) -> Node:
    """Return the root of the YAML in `text`; `origin` is what errors call the file. Raises RuleFileError."""
    if len(text) > MAX_BYTES:
        raise RuleFileError(f"{origin}:1: a file of rules may have at most {MAX_BYTES:,} bytes")
    return parse_yaml(text, origin, RuleFileError, expected="a mapping with `AnalysisType`")
