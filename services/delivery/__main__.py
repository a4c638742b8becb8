"""Start Delivery: `python -m services.delivery serve|migrate [--down-to REVISION]`."""

import asyncio
import sys
from typing import Final

import services.meshkit.absent  # noqa: F401 - before structlog and httpx
from services.delivery.migrate import migrations
from services.meshkit.commands import Command, Migrate, run_command


async def serve(stop: asyncio.Event) -> None:
    """Serve endpoints and deliver events until `stop` is set."""
    from services.delivery.server import serve as serve_until  # noqa: PLC0415 - the migration needs no server

    await serve_until(stop)


COMMANDS: Final[dict[str, Command]] = {"serve": serve, "migrate": Migrate("delivery", migrations)}


def main(arguments: list[str]) -> int:
    """Run the command that the arguments name, and return the exit code."""
    return run_command("delivery", COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
