"""A deterministic simulation: the real pulling, landing and ledger code in a small world, interleaved by a seed."""
