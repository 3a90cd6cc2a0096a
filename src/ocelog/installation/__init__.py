"""The folder on this machine: its settings, who may pull in it, and how it is opened."""
