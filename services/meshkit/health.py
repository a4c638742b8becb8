"""Says whether the process can do its work, as `grpc.health.v1`, from pings of what it needs."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import structlog
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

from services.meshkit.errors import MeshError
from services.meshkit.guard import Guard
from services.meshkit.metrics import DEPENDENCY_UP, UNEXPECTED
from services.meshkit.probes import READINESS

logger = structlog.get_logger(__name__)

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_RECOVERY_SECONDS = 0.25


@dataclass(frozen=True)
class Dependency:
    """Something that the process needs.

    Args:
        name: For logs and metrics.
        ping: Returns when it can be used, raises `MeshError` or `OSError` when it cannot.
        is_vital: Without it nothing can be served. Other dependencies are only watched.
    """

    name: str
    ping: Callable[[], Awaitable[None]]
    is_vital: bool = True


class Health:
    """Keeps the answer of the health service true.

    Args:
        interval_seconds: Between two rounds of pings; they follow each other faster while the process cannot serve.
        timeout_seconds: For one ping.
    """

    def __init__(self, interval_seconds: float = 2.0, timeout_seconds: float = 1.0) -> None:
        self.servicer = health_aio.HealthServicer()
        self._interval_seconds = interval_seconds
        # The edge counts its own checks: an answer that outlives its cause would put the process out too late.
        self._recovery_seconds = min(interval_seconds, _RECOVERY_SECONDS)
        self._timeout_seconds = timeout_seconds
        self._dependencies: list[Dependency] = []
        self._services: list[str] = [""]
        self._up: dict[str, bool] = {}
        self._status: int | None = None

    def watch(self, dependency: Dependency) -> None:
        """Add a dependency to ping."""
        self._dependencies.append(dependency)

    def announce(self, services: Iterable[str]) -> None:
        """Add services, by full name, that have a health answer of their own name. All share one answer."""
        self._services.extend(services)

    async def check(self) -> bool:
        """Ping all dependencies once, at the same time, and set the answer.

        Returns:
            True when everything vital answered.
        """
        answers = await asyncio.gather(*(self._ping(dependency) for dependency in self._dependencies))
        is_serving = all(
            up or not dependency.is_vital for up, dependency in zip(answers, self._dependencies, strict=True)
        )
        await self._set(SERVING if is_serving else NOT_SERVING)
        return is_serving

    async def run(self) -> None:
        """Goes on checking until it is cancelled."""
        await Guard("health", self._recovery_seconds, self._interval_seconds).until_cancelled(self._round)

    async def _round(self) -> None:
        is_serving = self._status == SERVING
        await asyncio.sleep(self._interval_seconds if is_serving else self._recovery_seconds)
        await self.check()

    async def stop(self) -> None:
        """Answer NOT_SERVING from here on, whatever the pings find."""
        self._status = NOT_SERVING
        READINESS.is_ready = False
        await self.servicer.enter_graceful_shutdown()

    async def _set(self, status: int) -> None:
        if status == self._status:
            return
        self._status = status
        READINESS.is_ready = status == SERVING
        logger.info("health changed", is_serving=status == SERVING)
        for service in self._services:
            await self.servicer.set(service, status)

    async def _ping(self, dependency: Dependency) -> bool:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await dependency.ping()
        except Exception as exc:  # noqa: BLE001 - whatever it is, there was no answer
            if not isinstance(exc, (MeshError, OSError)):  # a TimeoutError is an OSError
                UNEXPECTED.labels(f"ping {dependency.name}").inc()
            self._note(dependency, up=False, why=type(exc.__cause__ or exc).__name__)
            return False
        self._note(dependency, up=True)
        return True

    def _note(self, dependency: Dependency, *, up: bool, why: str = "") -> None:
        DEPENDENCY_UP.labels(dependency.name).set(up)
        if self._up.get(dependency.name) is not up:
            self._up[dependency.name] = up
            (logger.info if up else logger.warning)("dependency", name=dependency.name, is_up=up, why=why)
