"""Writes docs/reference: settings, failures and the event, from where each is defined; `python -m tools.document`."""
