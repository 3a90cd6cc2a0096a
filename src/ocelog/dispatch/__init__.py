"""How work gets to those who do it."""
