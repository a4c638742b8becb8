"""Runs a service's migrations for tests by the service's own command."""

import sys
from pathlib import Path

from stack.programs.program import Program
from stack.programs.running import run_to_end

MIGRATE_SECONDS = 60.0


def migrate(service: str, database_url: str, log: Path, *arguments: str) -> None:
    """Brings a database to the head of a service's migrations, or where the arguments say. Safe to call again: yes.

    Args:
        service: Its package under services/.
        database_url: The database, as the role that owns the service's schema.
        log: File for the command's output.
        arguments: More arguments of the command.

    Raises:
        ProgramError: The command failed; the message has the end of its output.
    """
    program = Program(
        name=f"migrate-{service}",
        command=(sys.executable, "-m", f"services.{service}", "migrate", *arguments),
        is_ready=bool,
        environment={"MAILMESH_DATABASE_URL": database_url},
    )
    run_to_end(program, log, MIGRATE_SECONDS)
