"""The pages: each module has the routes of one thing that a person looks at."""
