"""How JSON becomes typed records, and what is wrong with what does not."""
