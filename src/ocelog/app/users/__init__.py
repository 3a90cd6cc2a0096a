"""Who may use the console, how they sign in, and what they did."""
