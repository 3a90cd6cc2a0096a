"""What Ocelog serves over HTTP: at present its metrics, and whether it works."""
