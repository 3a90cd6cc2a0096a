"""Folders of rules that are registered: what their files are, their last good version, and what is wrong with them."""
