"""Tables: their metadata, their files, and what they hold."""
