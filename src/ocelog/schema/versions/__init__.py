"""Which states of a record count as the same."""
