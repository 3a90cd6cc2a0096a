"""What keeps an installation going: backup, repair, upkeep, and the service of the machine."""
