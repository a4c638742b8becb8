"""Columns that the tables of the services share."""

from typing import Any

from sqlalchemy import Column, DateTime
from sqlalchemy.dialects.postgresql import UUID

ID = UUID()
TIME = DateTime(timezone=True)


def required(name: str, kind: Any, *, primary_key: bool = False) -> Column[Any]:
    """A column that is never null."""
    return Column(name, kind, primary_key=primary_key, nullable=False)
