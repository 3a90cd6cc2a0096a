"""How each stream is, and what of it people are told: silence told apart from broken and from forbidden."""
