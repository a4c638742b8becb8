"""The command line of a service: one word, and for `migrate` the way back.

COMMANDS = {"serve": serve, "migrate": Migrate("echo", migrations)}

if __name__ == "__main__":
    sys.exit(run_command("echo", COMMANDS, sys.argv[1:]))
"""

import argparse
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from services.meshkit.logs import configure_logs
from services.meshkit.process import run
from services.meshkit.settings import StoreSettings, load

if TYPE_CHECKING:
    import asyncio

    from services.meshkit.migrations import Migrations
    from services.meshkit.secret import Secret

Command = Callable[..., Awaitable[None]]
"""Gets the event that is set when it should end."""


def add_way_back(parser: argparse.ArgumentParser) -> None:
    """Add the option of `migrate` that names an earlier revision."""
    parser.add_argument(
        "--down-to", metavar="REVISION", default="", help="move back instead: a revision, -1 for one step, or base"
    )


@dataclass(frozen=True)
class Migrate:
    """The command that migrates the schema of a service.

    Attributes:
        service: Its name, for the log.
        migrations: Gives its migrations for a database.
    """

    service: str
    migrations: "Callable[[Secret], Migrations]"

    async def __call__(self, _stop: "asyncio.Event", down_to: str = "") -> None:
        """Migrate to the revision that this program needs, or back to an earlier one. Safe to call again.

        Args:
            down_to: The earlier revision, `-1` for one step back, or `base`; empty: forward.

        Raises:
            SettingsError: The database is not named.
            SchemaError: A later release has migrated the database, or there is no such way back.
            StoreUnavailable: The database is away.
            Conflict: A lock was not free in time.
        """
        settings = load(StoreSettings)
        configure_logs(self.service, settings.log_level)
        moves = self.migrations(settings.database_url)
        await (moves.downgrade(down_to) if down_to else moves.upgrade())


def run_command(service: str, commands: Mapping[str, Command], arguments: list[str]) -> int:
    """Run the command that the arguments name.

    Args:
        service: The service's package under services/.
        commands: By name.
        arguments: Those of the command line.

    Returns:
        The exit code, as of `run`.

    Raises:
        SystemExit: No command has such arguments; code 2, with the usage on standard error.
    """
    parser = argparse.ArgumentParser(prog=f"python -m services.{service}")
    names = parser.add_subparsers(required=True, dest="command")
    for name, work in commands.items():
        one = names.add_parser(name, description=(work.__doc__ or "").partition("\n")[0])
        if isinstance(work, Migrate):
            add_way_back(one)
    found = vars(parser.parse_args(arguments))
    return run(partial(commands[found.pop("command")], **found))
