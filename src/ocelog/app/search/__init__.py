"""What is asked of the lake and of the ledger, with SQL or without, and how answers are kept and written."""
