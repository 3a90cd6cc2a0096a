"""A faithful Wiz API on one's own machine: a seeded tenant that changes, behind Wiz's token and GraphQL endpoints.

It shares no code with the collectors that are tried on it, and knows nothing of them.
"""
