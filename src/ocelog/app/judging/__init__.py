"""Which rules judge: folders that are registered, what of them runs, and how they are asked."""
