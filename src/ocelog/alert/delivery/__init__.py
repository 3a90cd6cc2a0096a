"""Who hears of an alert, when, and how often that is tried."""
