"""The history of schema `vault`."""

from pathlib import Path

from services.meshkit.migrations import Migrations
from services.meshkit.secret import Secret
from services.token_vault.tables import SCHEMA


def migrations(url: Secret) -> Migrations:
    """Return the migrations of this service for a database."""
    return Migrations(url, SCHEMA, Path(__file__).parent / "migrations")
