"""How everything is: each stream, the whole, in words and as metrics."""
