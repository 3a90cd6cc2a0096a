"""How long a statement may be: known apart from what checks it, which takes long to import."""

MAX_LENGTH = 1_000_000
"""Characters of one statement."""
