"""The `mailmesh` command line."""

from stack.cli.app import main

__all__ = ["main"]
