"""Values that hide themselves, the key that seals them, and secrets kept out of texts from outside."""
