"""How tables stay small for years, and go on when files are lost."""
