"""How each stream is, and what of it people are told: silence told apart from broken and from forbidden.

The metrics of it are in `ocelog.app.metrics`.
"""
