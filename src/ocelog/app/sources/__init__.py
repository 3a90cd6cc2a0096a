"""How sources come, change and go, and how each is doing."""
