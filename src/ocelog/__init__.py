"""Ocelog: a self-hosted log source for Wiz."""
