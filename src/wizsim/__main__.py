"""Lets `python -m wizsim` stand for the `wizsim` command."""

from wizsim.cli import main

main()
