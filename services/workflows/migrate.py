"""The schema of Workflows, and its migrations."""

from pathlib import Path
from typing import TYPE_CHECKING

from services.meshkit.schema import Schema
from services.meshkit.secret import Secret

if TYPE_CHECKING:
    from services.meshkit.migrations import Migrations

SCHEMA = Schema("workflows", Path(__file__).parent / "migrations")


def migrations(url: Secret) -> "Migrations":
    """Return the migrations of this service for a database."""
    # Alembic takes a third of a program's start, and a program that serves needs none of it.
    from services.meshkit.migrations import Migrations  # noqa: PLC0415

    return Migrations(url, SCHEMA)
