"""Which rows are there at one instant, and how few bytes it takes to find some of them."""
