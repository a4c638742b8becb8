"""Start Delivery: `python -m services.delivery serve|migrate`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import services.meshkit.absent  # noqa: F401 - before structlog and httpx
from services.delivery.migrate import migrations
from services.meshkit.logs import configure_logs
from services.meshkit.process import run
from services.meshkit.settings import StoreSettings, load


async def serve(stop: asyncio.Event) -> None:
    """Serve endpoints and deliver events until `stop` is set."""
    from services.delivery.server import serve as serve_until  # noqa: PLC0415 - the migration needs no server

    await serve_until(stop)


async def migrate(_stop: asyncio.Event) -> None:
    """Upgrade the schema to the revision that this program needs. Safe to call again."""
    settings = load(StoreSettings)
    configure_logs("delivery", settings.log_level)
    await migrations(settings.database_url).upgrade()


COMMANDS: Final[dict[str, Callable[[asyncio.Event], Awaitable[None]]]] = {"serve": serve, "migrate": migrate}


def main(arguments: list[str]) -> int:
    """Run the command that the arguments name, and return the exit code."""
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        print("usage: python -m services.delivery serve|migrate", file=sys.stderr)  # noqa: T201 - for the person who starts it
        return 2
    return run(COMMANDS[arguments[0]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
