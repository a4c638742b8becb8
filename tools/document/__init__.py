"""Writes docs/reference: settings, failures, the event, metrics and logs, from where each is defined; `python -m tools.document`."""
