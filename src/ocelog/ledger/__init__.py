"""The ledger: the database of everything but events, on SQLite or PostgreSQL."""
