"""Threads for blocking libraries: a bounded number, with a bounded queue and a deadline for each call."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from prometheus_client import Gauge

from services.meshkit.deadlines import budget
from services.meshkit.errors import Overloaded
from services.token_vault.errors import ProviderUnavailable

Result = TypeVar("Result")

_QUEUE_PER_THREAD = 64
_BUSY = Gauge(
    "mailmesh_vault_provider_threads_busy", "Calls to a provider that run in threads or wait for one.", ["provider"]
)


class BlockingPool:
    """Threads for one provider, so that one provider's failures do not use up another's threads.

    Args:
        provider: For metrics and errors.
        threads: Concurrent calls.
        timeout_seconds: Time limit of a call, with its wait for a thread. An abandoned call keeps its thread until its
            own socket times out, so the callables must have time limits of their own.
    """

    def __init__(self, provider: str, threads: int, timeout_seconds: float) -> None:
        self._provider = provider
        self._timeout_seconds = timeout_seconds
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"issuer-{provider}")
        self._bound = threads * (1 + _QUEUE_PER_THREAD)
        self._pending = 0

    async def run(self, function: Callable[[], Result]) -> Result:
        """Run a blocking callable in a thread.

        Raises:
            ProviderUnavailable: The callable did not finish in time.
            Overloaded: Too many calls wait already.
        """
        if self._pending >= self._bound:
            raise Overloaded(metadata={"bound": "provider_threads"})
        future = self._executor.submit(function)  # before it counts: without a thread to start it raises
        self._count(1)
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._count, -1) if not loop.is_closed() else None)
        return await self._finished(future)

    def close(self) -> None:
        """Refuse further calls, without waiting for calls that hang."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _finished(self, future: "Future[Result]") -> Result:
        try:
            async with asyncio.timeout(budget(self._timeout_seconds)):
                return await asyncio.wrap_future(future)
        except TimeoutError as exc:
            raise ProviderUnavailable(metadata={"provider": self._provider}) from exc

    def _count(self, step: int) -> None:
        self._pending += step
        _BUSY.labels(self._provider).inc(step)
