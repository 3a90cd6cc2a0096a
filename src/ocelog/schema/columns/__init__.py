"""How records become columns: those of the schema, instants and indicators."""
