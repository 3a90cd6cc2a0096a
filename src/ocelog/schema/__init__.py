"""What a record is: log schemas, and how records become rows by them."""
