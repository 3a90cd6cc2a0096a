"""Bytes on disk: made durable, checked, and named when they are lost."""
