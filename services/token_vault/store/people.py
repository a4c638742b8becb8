"""The keys that stand for people who sign in at an identity provider. A person is stored as a digest."""

from services.meshkit.db import Connection, affected

# Two browsers of one person that sign in for the first time at once make one key.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('vault.people ' || encode($1::bytea, 'hex'), 0))"
_FIND = "SELECT api_key_id::text FROM vault.people WHERE person = $1"
_PUT = """
INSERT INTO vault.people (person, api_key_id) VALUES ($1, $2)
ON CONFLICT (person) DO UPDATE SET api_key_id = EXCLUDED.api_key_id
"""
_GRANT = """
UPDATE vault.api_keys SET display_name = $2, role = $3, abilities = $4
WHERE api_key_id = $1 AND (display_name, role, abilities) IS DISTINCT FROM ($2, $3, $4)
"""


async def lock_person(connection: Connection, person: bytes) -> str | None:
    """Lock a person until the transaction ends, and return the id of their key, if they have one."""
    await connection.execute(_LOCK, person)
    found: str | None = await connection.fetchval(_FIND, person)
    return found


async def put_person(connection: Connection, person: bytes, api_key_id: str) -> None:
    """Let a key stand for a person, in place of an earlier one."""
    await connection.execute(_PUT, person, api_key_id)


async def grant(connection: Connection, api_key_id: str, name: str, role: str, abilities: tuple[str, ...]) -> bool:
    """Give a person's key its rights of today; return whether anything changed."""
    return affected(await connection.execute(_GRANT, api_key_id, name, role, list(abilities))) == 1
