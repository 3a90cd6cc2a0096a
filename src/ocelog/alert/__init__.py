"""Which matches belong to one alert, and when people are told: no I/O of its own."""
