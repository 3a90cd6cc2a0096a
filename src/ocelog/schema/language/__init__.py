"""How log schemas are written: YAML in Panther's log schema language."""
