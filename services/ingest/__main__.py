"""Command line of Ingest: `python -m services.ingest serve` serves, `... migrate` upgrades the schema.

`... restored` compares every mailbox with its provider after the database was restored from a backup.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import services.meshkit.absent  # noqa: F401 - before structlog and httpx
from services.ingest.migrate import migrations
from services.meshkit.db import open_pool
from services.meshkit.logs import configure_logs
from services.meshkit.process import observed, run
from services.meshkit.settings import StoreSettings, load


async def serve(stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    # The migration does not need the server.
    from services.ingest import server  # noqa: PLC0415
    from services.ingest.settings import IngestSettings  # noqa: PLC0415

    settings = load(IngestSettings)
    async with observed("ingest", settings):
        await server.serve(settings, stop)


async def migrate(_stop: asyncio.Event) -> None:
    """Upgrade the schema to the revision that this program needs. Safe to call again."""
    settings = load(StoreSettings)
    configure_logs("ingest", settings.log_level)
    await migrations(settings.database_url).upgrade()


async def restored(_stop: asyncio.Event) -> None:
    """Queue a comparison of every watched mailbox and make every subscription due. Safe to call again."""
    from services.ingest.restored import compare_everything  # noqa: PLC0415 - the other commands need none of it

    settings = load(StoreSettings)
    configure_logs("ingest", settings.log_level)
    async with open_pool(settings.database_url, "ingest restored") as pool:
        await compare_everything(pool)


COMMANDS: Final[dict[str, Callable[[asyncio.Event], Awaitable[None]]]] = {
    "serve": serve,
    "migrate": migrate,
    "restored": restored,
}


def main(arguments: list[str]) -> int:
    """Run the command that the arguments name, and return the exit code."""
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        print("usage: python -m services.ingest serve|migrate|restored", file=sys.stderr)  # noqa: T201 - for the person who starts it
        return 2
    return run(COMMANDS[arguments[0]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
