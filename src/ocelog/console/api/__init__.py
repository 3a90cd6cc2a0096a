"""The REST API: what a person can do in the console and by commands, for programs that show a token."""
