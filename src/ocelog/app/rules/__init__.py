"""What a person does with rules: write and check them, look at them, and ask them about the past.

The folders that they come from are registered in `ocelog.app.rule_folders.rule_folders`.
"""
