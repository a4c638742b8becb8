"""Accounts at a provider: connect, examine, manage and disconnect them, and publish their changes."""
