"""People who sign in: what an older token may not bring back."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret
from services.token_vault.api_access.sessions import SessionLife, Sessions
from services.token_vault.issuers.id_tokens import SKEW_SECONDS
from services.token_vault.sign_in.errors import AccessTokenInvalid
from services.token_vault.sign_in.people import People
from services.token_vault.sign_in.provider import Person
from services.token_vault.sign_in.rights import GroupRights
from tests.programs.postgres import TestDatabase

NOW = datetime.now(UTC).replace(microsecond=0)
LIFE = SessionLife(timedelta(hours=1), timedelta(hours=8), timedelta(seconds=5))
RIGHTS = GroupRights.read(("admins=admin", "readers=reader"))


@pytest.fixture
async def pool(token_vault_database: TestDatabase) -> AsyncIterator[db.Pool]:
    async with db.open_pool(Secret(token_vault_database.url), "tests") as opened:
        yield opened


def people_of(pool: db.Pool) -> People:
    clock = SystemClock()
    return People(pool, Sessions(pool, clock, LIFE), RIGHTS, clock)


def person(seconds: int, *groups: str) -> Person:
    """A person by a token that was issued so many seconds from now."""
    return Person("https://idp.test", "ann", "ann@example.test", groups, NOW + timedelta(seconds=seconds))


async def revoke(pool: db.Pool, api_key_id: str, seconds: int) -> None:
    at = NOW + timedelta(seconds=seconds)
    await pool.execute("UPDATE vault.api_keys SET revoked_at = $2 WHERE api_key_id = $1", api_key_id, at)


async def test_a_revoked_token_stays_revoked_after_the_person_signs_in_again(pool: db.Pool) -> None:
    people, stolen = people_of(pool), person(-60, "admins")
    first = await people.key_of(stolen)
    await revoke(pool, first.api_key_id, -30)
    with pytest.raises(AccessTokenInvalid):
        await people.key_of(stolen)

    await people.sign_in(person(0, "admins"), "")
    with pytest.raises(AccessTokenInvalid):
        await people.key_of(stolen)

    # A later key that is revoked with an earlier time, as clocks of processes differ, lets none of them in.
    row, _ = await people.sign_in(person(1, "admins"), "")
    await revoke(pool, row.api_key_id, -SKEW_SECONDS * 2)
    await people.sign_in(person(2, "admins"), "")
    with pytest.raises(AccessTokenInvalid):
        await people.key_of(stolen)


async def test_a_token_counts_again_when_no_tolerated_clock_puts_it_before_the_revoking(pool: db.Pool) -> None:
    people = people_of(pool)
    first = await people.key_of(person(-900, "admins"))
    await revoke(pool, first.api_key_id, -600)
    within, after = person(-600 + SKEW_SECONDS, "admins"), person(-599 + SKEW_SECONDS, "admins")

    with pytest.raises(AccessTokenInvalid):
        await people.key_of(within)
    second = await people.key_of(after)

    assert first.api_key_id != second.api_key_id
    assert second.api_key_id == (await people.key_of(after)).api_key_id
    with pytest.raises(MeshError):
        await people.key_of(within)


async def test_an_older_refusal_does_not_move_the_proof_back_or_end_sessions(pool: db.Pool) -> None:
    people = people_of(pool)
    await people.key_of(person(-60, "admins"))
    await people.sign_in(person(0, "readers"), "")

    # The second transaction of a call that began before the sign-in.
    await people._refuse(person(-40))

    assert "reader" == (await people.key_of(person(-30, "admins"))).role
    sessions = "SELECT count(*) FROM vault.sessions"
    assert 1 == await pool.fetchval(sessions)
    await people._refuse(person(1))
    assert 0 == await pool.fetchval(sessions)
