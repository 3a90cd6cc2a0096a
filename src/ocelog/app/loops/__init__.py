"""What runs by itself: the service, its loops, and what each of them does with a piece."""
