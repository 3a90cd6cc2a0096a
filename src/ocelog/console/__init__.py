"""What Ocelog serves over HTTP: pages, the REST API, its metrics, and whether it works."""
