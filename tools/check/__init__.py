"""The checks of `make check` besides lint and types; `python -m tools.check`."""
