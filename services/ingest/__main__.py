"""Command line of Ingest: `python -m services.ingest serve` serves, `... migrate` upgrades the schema.

`... restored` compares every mailbox with its provider after the database was restored from a backup.
"""

import asyncio
import sys
from typing import Final

import services.meshkit.absent  # noqa: F401 - before structlog and httpx
from services.ingest.migrate import migrations
from services.meshkit.commands import Command, Migrate, run_command
from services.meshkit.db import open_pool
from services.meshkit.logs import configure_logs
from services.meshkit.process import observed
from services.meshkit.settings import StoreSettings, load


async def serve(stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    # The migration does not need the server.
    from services.ingest import server  # noqa: PLC0415
    from services.ingest.settings import IngestSettings  # noqa: PLC0415

    settings = load(IngestSettings)
    async with observed("ingest", settings):
        await server.serve(settings, stop)


async def restored(_stop: asyncio.Event) -> None:
    """Queue a comparison of every watched mailbox and make every subscription due. Safe to call again."""
    from services.ingest.restored import compare_everything  # noqa: PLC0415 - the other commands need none of it

    settings = load(StoreSettings)
    configure_logs("ingest", settings.log_level)
    async with open_pool(settings.database_url, "ingest restored") as pool:
        await compare_everything(pool)


COMMANDS: Final[dict[str, Command]] = {
    "serve": serve,
    "migrate": Migrate("ingest", migrations),
    "restored": restored,
}


def main(arguments: list[str]) -> int:
    """Run the command that the arguments name, and return the exit code."""
    return run_command("ingest", COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
