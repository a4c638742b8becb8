"""The features in use that a release may not know: stored data that it would miss or spoil."""

from collections.abc import Collection

from services.meshkit import db

SEALED_CONTENT = "sealed-content"
"""Content of tenants is sealed: a process that does not know it stores such content in the clear."""
SEALED_CURSORS = "sealed-cursors"
"""Readers of some tenants have sealed cursors: a process that does not know them refuses these."""
KNOWN = frozenset((SEALED_CONTENT, SEALED_CURSORS))


async def note(connection: db.Connection, name: str) -> None:
    """Note that a feature is in use, in the transaction that begins to use it. It stays noted."""
    await connection.execute("INSERT INTO processor.features (name) VALUES ($1) ON CONFLICT DO NOTHING", name)


async def unknown(connection: db.Connection, known: Collection[str]) -> list[str]:
    """Return the features in use besides the known ones, in alphabetical order."""
    rows = await connection.fetch(
        "SELECT name FROM processor.features WHERE name <> ALL ($1::text[]) ORDER BY name", list(known)
    )
    return [row["name"] for row in rows]
