"""The search for garbage in the processes that run tests.

A process that has collected the tests holds some millions of objects until it ends: modules, tests, the contract. Each
full search would visit all of them, and find garbage among those of the tests only.
"""

import gc


def pytest_configure() -> None:
    """Searches nothing while the tests are collected: what that makes, stays."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Searches again, from now on only among the objects that tests make."""
    gc.freeze()
    gc.enable()
