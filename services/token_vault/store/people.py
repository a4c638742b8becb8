"""The keys that stand for people who sign in at an identity provider. A person is stored as a digest."""

from dataclasses import dataclass
from datetime import datetime

from services.meshkit.db import Connection, affected


@dataclass(frozen=True)
class PersonRow:
    """The newest proof of a person.

    Args:
        api_key_id: The key that stands for the person.
        proven_at: The time of the token that proved the person last.
        is_refused: Whether that token had no group with rights.
        not_before: The end of the last revoked key that another one has replaced; None when there is none.
    """

    api_key_id: str
    proven_at: datetime
    is_refused: bool
    not_before: datetime | None


# Two browsers of one person that sign in for the first time at once make one key.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('vault.people ' || encode($1::bytea, 'hex'), 0))"
_FIND = """
SELECT api_key_id::text AS api_key_id, proven_at, is_refused, not_before FROM vault.people WHERE person = $1
"""
_PUT = """
INSERT INTO vault.people (person, api_key_id, proven_at, not_before) VALUES ($1, $2, $3, $4)
ON CONFLICT (person) DO UPDATE
SET api_key_id = EXCLUDED.api_key_id, proven_at = EXCLUDED.proven_at, is_refused = false,
  not_before = greatest(people.not_before, EXCLUDED.not_before)
WHERE (people.api_key_id, people.proven_at, people.is_refused) IS DISTINCT FROM
  (EXCLUDED.api_key_id, EXCLUDED.proven_at, false)
"""
_REFUSE = "UPDATE vault.people SET proven_at = $2, is_refused = true WHERE person = $1 AND proven_at <= $2"
_GRANT = """
UPDATE vault.api_keys SET display_name = $2, role = $3, abilities = $4
WHERE api_key_id = $1 AND (display_name, role, abilities) IS DISTINCT FROM ($2, $3, $4)
"""


async def lock_person(connection: Connection, person: bytes) -> PersonRow | None:
    """Lock a person until the transaction ends, and return their newest proof, if there is one."""
    await connection.execute(_LOCK, person)
    found = await connection.fetchrow(_FIND, person)
    return None if found is None else PersonRow(**found)


async def put_person(
    connection: Connection, person: bytes, api_key_id: str, proven_at: datetime, not_before: datetime | None
) -> None:
    """Let a key stand for a person, in place of an earlier one, and record the proof.

    Args:
        connection: In a transaction that has locked the person.
        person: The digest of the person's id.
        api_key_id: The key.
        proven_at: The time of the proof.
        not_before: The end of a revoked key whose place the key takes; else None. An earlier one stays known.
    """
    await connection.execute(_PUT, person, api_key_id, proven_at, not_before)


async def refuse_person(connection: Connection, person: bytes, proven_at: datetime) -> bool:
    """Record that a proof of a known person has no group with rights; return False where a newer one is known."""
    return affected(await connection.execute(_REFUSE, person, proven_at)) == 1


async def grant(connection: Connection, api_key_id: str, name: str, role: str, abilities: tuple[str, ...]) -> bool:
    """Give a person's key its rights of today; return whether anything changed."""
    return affected(await connection.execute(_GRANT, api_key_id, name, role, list(abilities))) == 1
