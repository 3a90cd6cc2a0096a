"""A remote Ocelog, asked over its REST API: it returns the same values as the use cases of `app`."""
