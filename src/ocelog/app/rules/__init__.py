"""What a person does with rules: write and check them, look at them, and ask them about the past."""
