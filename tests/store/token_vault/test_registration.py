"""A process adopts the keys that were added to its file, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.errors import MeshError
from services.meshkit.identity.caller import Role
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.token_vault.api_access.api_keys import NewKey, made_key
from services.token_vault.api_access.passes import Passes
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.keys.registration import KeyRegistration
from services.token_vault.keys.rotate import KeyRotator
from services.token_vault.store import api_keys, encryption_keys
from tests.programs.postgres import TestDatabase
from tests.programs.standby import order

FIRST, SECOND = b"1" * 32, b"2" * 32
FAILS_AT_COMMIT = (
    (
        "CREATE FUNCTION vault.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION USING ERRCODE = 'serialization_failure'; END $$"
    ),
    (
        "CREATE CONSTRAINT TRIGGER refuses AFTER INSERT ON vault.key_encryption_keys DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION vault.refuse()"
    ),
)


@pytest.fixture
async def pool(token_vault_database: TestDatabase) -> AsyncIterator[db.Pool]:
    async with db.open_pool(Secret(token_vault_database.url), "tests") as opened:
        yield opened


async def test_a_key_whose_check_value_was_not_stored_is_adopted_by_a_later_round(
    pool: db.Pool, token_vault_database: TestDatabase
) -> None:
    ring, file = KeyRing({"k1": FIRST}), {"k1": FIRST}
    registration = KeyRegistration(pool, ring, SystemClock(), new_id(), lambda: KeyRing(file))
    await registration.start()
    file["k2"] = SECOND

    await order(token_vault_database.admin_url, *FAILS_AT_COMMIT)
    with pytest.raises(MeshError):
        await registration.beat()
    assert ("k1",) == ring.ids
    await order(token_vault_database.admin_url, "DROP FUNCTION vault.refuse CASCADE")
    await registration.beat()

    assert ("k1", "k2") == ring.ids
    async with db.connection(pool) as connection:
        assert {"k1", "k2"} == set(await encryption_keys.check_values(connection))


async def test_a_process_with_a_newer_key_writes_with_the_one_that_all_have_until_the_rotation(pool: db.Pool) -> None:
    clock, older, newer = SystemClock(), KeyRing({"k1": FIRST}), KeyRing({"k2": SECOND, "k1": FIRST})
    file = {"k1": FIRST}
    first = KeyRegistration(pool, older, clock, new_id(), lambda: KeyRing(file))
    second = KeyRegistration(pool, newer, clock, new_id(), lambda: newer)
    await first.start()
    await second.start()
    row, _ = made_key(NewKey("ann", Role.READER, frozenset(), None), "tests", clock.now())
    async with db.transaction(pool) as connection:
        await api_keys.insert_api_key(connection, row)
    issuing, checking = (Passes(pool, ring, clock, timedelta(seconds=1)) for ring in (newer, older))

    found = await checking.authenticate(issuing.issue(row.api_key_id).reveal())
    assert row.api_key_id == found.api_key_id

    file["k2"] = SECOND
    await first.beat()
    await KeyRotator(pool, newer, clock).rotate()
    await second.beat()
    assert ("k2", "k1") == (newer.writing_id, older.writing_id)
    await checking.authenticate(issuing.issue(row.api_key_id).reveal())
