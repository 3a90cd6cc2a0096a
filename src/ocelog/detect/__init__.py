"""Rules and what they say of events: files to values, values to verdicts, without processes, ledger or lake."""
