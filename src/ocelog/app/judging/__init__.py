"""Which rules judge: what runs of the folders that are registered, and how rules are asked."""
