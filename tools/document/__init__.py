"""Writes the generated pages of docs/reference, each from the source of its content; `python -m tools.document`."""
