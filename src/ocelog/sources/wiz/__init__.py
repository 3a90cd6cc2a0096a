"""Wiz, over its GraphQL API."""
