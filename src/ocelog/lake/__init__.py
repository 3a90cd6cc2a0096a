"""The lake: durable parts, Iceberg tables, one consistent view of both, and SQL on it."""
