"""What the tests of the lake share: a ledger in memory, small tables, rows."""
