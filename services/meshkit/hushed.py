"""Silences libraries that log requests and answers with their tokens."""

import logging
from collections.abc import Iterable


def hush(libraries: Iterable[str]) -> None:
    """Silence libraries at every level: our own code logs their results. Safe to call again.

    Args:
        libraries: Names of their loggers. Every logger below one in the tree, now or later, is silenced with it.
    """
    for name in libraries:
        library = logging.getLogger(name)
        library.handlers[:] = [logging.NullHandler()]
        library.propagate = False
