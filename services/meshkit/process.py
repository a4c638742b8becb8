"""The start and the end of a process of the mesh.

async def serve(stop: asyncio.Event) -> None: ...

if __name__ == "__main__":
    sys.exit(run(serve))
"""

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog
import uvloop

from services.meshkit.access import ContractError
from services.meshkit.errors import MeshError
from services.meshkit.logs import configure_logs
from services.meshkit.metrics import serve_metrics
from services.meshkit.probes import READINESS, serve_probes
from services.meshkit.schema import SchemaError
from services.meshkit.settings import ServerSettings, SettingsError
from services.meshkit.tracing import configure_tracing

logger = structlog.get_logger(__name__)

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_MISCONFIGURED = 2
_GARBAGE_SEARCHED_AFTER = 20_000  # objects made and not gone by themselves; Python's own measure is 700


def spare_searches() -> None:
    """Keep the garbage collector from searching what is loaded, and from searching often. Safe to call again.

    The objects of a call go with it; searching everything that a process has loaded finds no garbage.
    """
    gc.freeze()
    gc.set_threshold(_GARBAGE_SEARCHED_AFTER)


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """Run a program until it ends, or until SIGTERM or SIGINT stops it.

    Args:
        main: Gets the event that is set when it should end.

    Returns:
        The exit code: 2 if the settings, the schema or the contract do not fit the program, with the reason on standard
        error; 1 if a dependency that it needs at its start is away.
    """
    spare_searches()
    try:
        uvloop.run(_until_stopped(main))
    except (SettingsError, SchemaError, ContractError) as exc:
        print(exc, file=sys.stderr)  # noqa: T201 - for the person who starts it
        return EXIT_MISCONFIGURED
    except MeshError as exc:
        logger.error("process failed", reason=exc.reason, message=exc.message)  # noqa: TRY400 - it says all
        return EXIT_FAILED
    return EXIT_OK


@asynccontextmanager
async def observed(name: str, settings: ServerSettings) -> AsyncIterator[None]:
    """Set up logs, metrics, probes and traces around a program, and send the rest of them at its end.

    Args:
        name: The process's mesh identity.
        settings: The log level, and the addresses of metrics and traces.
    """
    configure_logs(name, settings.log_level)
    provider = configure_tracing(name, settings.otlp_endpoint)
    with serve_metrics(settings.metrics_listen) as port:
        logger.info("process started", metrics_port=port)
        try:
            async with serve_probes(settings.health_listen, lambda: READINESS.is_ready):
                yield
        finally:
            if provider is not None:
                await asyncio.to_thread(provider.shutdown)


@asynccontextmanager
async def background(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run loops beside the block and cancel them behind it. A loop that ends with an exception ends the block.

    Args:
        loops: Such as `PeriodicLoop(...).run()`.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(loop) for loop in loops]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
    except BaseExceptionGroup as failed:
        if len(failed.exceptions) == 1:  # without the group, so that callers can handle the exception by its type
            raise failed.exceptions[0] from failed
        raise


async def _until_stopped(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await main(stop)
