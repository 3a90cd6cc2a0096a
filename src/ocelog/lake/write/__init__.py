"""How parts are written and become rows of a table."""
