"""Pulling: from a mark, take the next page, shape it, land it together with the new mark."""
