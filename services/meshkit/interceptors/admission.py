"""Refuses calls at once when there are as many as the server can bear, so that none waits in a queue that grows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from typing_extensions import override

from services.meshkit.errors import Overloaded
from services.meshkit.interceptors.base import Call, Interceptor

_ALWAYS_ADMITTED = "/grpc.health.v1.Health/"


class AdmissionInterceptor(Interceptor):
    """Lets a bounded number of calls run at the same time; open streams count.

    Args:
        limit: How many. Health checks are let through beyond it.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._running = 0

    @override
    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        if self._running >= self._limit and not call.method.startswith(_ALWAYS_ADMITTED):
            raise Overloaded(metadata={"bound": "concurrent_rpcs"})
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
