"""Threads that do the work, and in which turn."""
