"""What an analyst would bring, packaged: the log schemas, as data."""
