"""Lets synchronous code wait for a coroutine, wherever it runs."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_blocking(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Runs a coroutine to its end in a loop and a thread of its own.

    Unlike `asyncio.run` it may be called where a loop is running, which then stands still: for start-up and tests.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
