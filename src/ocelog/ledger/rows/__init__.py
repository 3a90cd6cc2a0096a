"""What a transaction does to the rows of the ledger, step by step; the ports put the steps together."""
