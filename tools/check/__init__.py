"""What `make check` checks beside lint and types; `python -m tools.check`."""
