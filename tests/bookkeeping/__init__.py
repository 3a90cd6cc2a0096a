"""What the ledger's tests are made of: small records, races, and crashes at a chosen statement."""
