"""How the ledger's database is opened, migrated, copied, and what its errors mean."""
