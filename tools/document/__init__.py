"""Writes docs/reference, each page from where its matter is defined; `python -m tools.document`."""
