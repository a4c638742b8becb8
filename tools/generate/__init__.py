"""Generates everything under gen/ from proto/; `python -m tools.generate --help`."""
