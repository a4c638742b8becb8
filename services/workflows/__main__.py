"""Start Workflows: `python -m services.workflows serve|migrate [--down-to REVISION]`."""

import asyncio
import sys
from typing import Final

from services.meshkit.commands import Command, Migrate, run_command
from services.workflows.migrate import migrations


async def serve(stop: asyncio.Event) -> None:
    """Serve the contract and run workflows until `stop` is set."""
    from services.workflows.server import serve as serve_until  # noqa: PLC0415 - the migration needs no server

    await serve_until(stop)


COMMANDS: Final[dict[str, Command]] = {"serve": serve, "migrate": Migrate("workflows", migrations)}


def main(arguments: list[str]) -> int:
    """Run the command that the arguments name, and return the exit code."""
    return run_command("workflows", COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
