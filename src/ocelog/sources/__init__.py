"""Where records come from: one folder a product, each fitting the puller's Source port."""
