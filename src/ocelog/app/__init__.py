"""What a person can do, once, for every face: values come out, and nothing is printed here."""
