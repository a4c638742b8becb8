"""Certificates for resource data: made once, replaced in time, and kept while a notification can name them."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from services.ingest.certificates.sealer import Sealer
from services.ingest.certificates.upkeep import AFTERLIFE, REDELIVERY, ROLLOUT, Certificates
from services.ingest.errors import KeyUnavailable, SealBroken
from services.ingest.metrics import CERTIFICATE_EXPIRY
from services.meshkit import db
from services.meshkit.clock import ManualClock
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from tests.programs.clock import START
from tests.programs.postgres import TestDatabase

NOW = START
LIFE = timedelta(days=90)
ONE, TWO = ({name: os.urandom(32)} for name in ("one", "two"))


@pytest.fixture
async def pool(ingest_database: TestDatabase) -> AsyncIterator[db.Pool]:
    """Connections as Ingest's own role, to a database without certificates."""
    async with open_pool(Secret(ingest_database.url), "ingest", DatabaseLimits(connections=4)) as opened:
        async with db.connection(opened) as connection:
            await connection.execute("DELETE FROM ingest.notification_certificates")
            await connection.execute("DELETE FROM ingest.subscriptions")
        yield opened


def keeper(pool: db.Pool, clock: ManualClock, keys: dict[str, bytes] = ONE) -> Certificates:
    return Certificates(pool, Sealer(keys), LIFE, clock)


def move(clock: ManualClock, span: timedelta) -> None:
    clock.advance(span.total_seconds())


async def subscribe(pool: db.Pool, certificate_id: str, expires_at: datetime) -> None:
    async with db.connection(pool) as connection:
        await connection.execute(
            "INSERT INTO ingest.subscriptions (subscription_id, tenant_id, provider, state, folder_id, label_ids,"
            " change_types, watched, delivery_mode, covered_from, expires_at, certificate_id)"
            " VALUES ($1, $2, 'ms365', 2, 'inbox', '{}', '{created}', 'folder:inbox', 1, $3, $4, $5)",
            new_id(),
            new_id(),
            NOW,
            expires_at,
            certificate_id,
        )


async def kept(pool: db.Pool) -> list[str]:
    async with db.connection(pool) as connection:
        rows = await connection.fetch(
            "SELECT certificate_id::text FROM ingest.notification_certificates ORDER BY created_at"
        )
    return [row["certificate_id"] for row in rows]


async def test_graph_can_take_the_certificate(pool: db.Pool, clock: ManualClock) -> None:
    made = await keeper(pool, clock).current()

    certificate = x509.load_der_x509_certificate(made.der)
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert (2048, 36) == (key.key_size, len(made.certificate_id))
    assert NOW + LIFE == certificate.not_valid_after_utc
    certificate.verify_directly_issued_by(certificate)


async def test_the_private_key_opens_in_another_process_and_is_the_certificates(
    pool: db.Pool, clock: ManualClock
) -> None:
    made = await keeper(pool, clock).current()

    key = await keeper(pool, clock).private_key(made.certificate_id)

    assert key is not None
    assert x509.load_der_x509_certificate(made.der).public_key() == key.public_key()


async def test_many_processes_at_once_make_one(pool: db.Pool, clock: ManualClock) -> None:
    made = await asyncio.gather(*(keeper(pool, clock).current() for _ in range(4)))

    assert [made[0].certificate_id] == await kept(pool)
    assert {made[0]} == set(made)


async def test_it_is_replaced_at_half_of_its_life_and_the_old_key_still_opens(
    pool: db.Pool, clock: ManualClock
) -> None:
    certificates = keeper(pool, clock)
    old = await certificates.current()
    move(clock, LIFE / 2 - timedelta(hours=1))
    assert old == await certificates.current()

    move(clock, timedelta(hours=1))
    new = await certificates.current()

    assert [old.certificate_id, new.certificate_id] == await kept(pool)
    assert await keeper(pool, clock).private_key(old.certificate_id)


async def test_a_round_replaces_it_too(pool: db.Pool, clock: ManualClock) -> None:
    certificates = keeper(pool, clock)
    await certificates.round()
    assert [] == await kept(pool)

    await certificates.current()
    move(clock, LIFE / 2)
    await certificates.round()

    assert 2 == len(await kept(pool))


async def test_another_sealing_key_makes_another_certificate(pool: db.Pool, clock: ManualClock) -> None:
    old = await keeper(pool, clock).current()

    move(clock, ROLLOUT)
    rotated = keeper(pool, clock, TWO | ONE)
    new = await rotated.current()

    assert old.certificate_id != new.certificate_id
    assert await rotated.private_key(old.certificate_id)
    with pytest.raises(KeyUnavailable):
        await keeper(pool, clock, TWO).private_key(old.certificate_id)


async def test_processes_with_another_first_key_do_not_replace_each_others_certificates(
    pool: db.Pool, clock: ManualClock
) -> None:
    """While the processes restart one by one with a new key, both kinds run for a while."""
    earlier, later = keeper(pool, clock, ONE), keeper(pool, clock, TWO | ONE)
    old = await earlier.current()
    move(clock, ROLLOUT)

    for _ in range(10):
        await later.round()
        await earlier.round()
        move(clock, timedelta(seconds=30))

    new = await later.current()
    assert new == await earlier.current()
    assert [old.certificate_id, new.certificate_id] == await kept(pool)
    assert await later.private_key(new.certificate_id)


async def test_a_key_in_another_row_does_not_open(pool: db.Pool, clock: ManualClock) -> None:
    made = await keeper(pool, clock).current()
    async with db.connection(pool) as connection:
        await connection.execute("UPDATE ingest.notification_certificates SET certificate_id = $1", moved := new_id())

    assert await keeper(pool, clock).private_key(made.certificate_id) is None
    with pytest.raises(SealBroken):
        await keeper(pool, clock).private_key(moved)


@pytest.mark.parametrize("name", ["", "no id", "019a9f0e-7c1e-7000-8000-000000000009"])
async def test_an_unknown_certificate_has_no_key(pool: db.Pool, clock: ManualClock, name: str) -> None:
    assert await keeper(pool, clock).private_key(name) is None


async def test_a_superseded_key_is_kept_while_a_notification_can_name_it(pool: db.Pool, clock: ManualClock) -> None:
    certificates = keeper(pool, clock)
    old = await certificates.current()
    move(clock, LIFE / 2)
    new = await certificates.current()
    await subscribe(pool, old.certificate_id, clock.now() + AFTERLIFE + timedelta(hours=1))

    for hours in (0, 49, 3):  # the last is three hours behind the end of the subscription
        move(clock, timedelta(hours=hours))
        await certificates.round()
        assert [old.certificate_id, new.certificate_id] == await kept(pool)
    move(clock, REDELIVERY)
    await certificates.round()

    assert [new.certificate_id] == await kept(pool)


async def test_one_that_no_subscription_names_is_kept_two_days(pool: db.Pool, clock: ManualClock) -> None:
    certificates = keeper(pool, clock)
    old = await certificates.current()
    move(clock, LIFE / 2)
    await certificates.current()

    move(clock, AFTERLIFE - timedelta(minutes=1))
    await certificates.round()
    assert old.certificate_id in await kept(pool)
    move(clock, timedelta(minutes=1))
    await certificates.round()

    assert old.certificate_id not in await kept(pool)


async def test_the_gauge_has_the_earliest_end_of_those_in_use(pool: db.Pool, clock: ManualClock) -> None:
    certificates = keeper(pool, clock)
    await certificates.round()
    assert 0 == CERTIFICATE_EXPIRY._value.get()
    old = await certificates.current()
    await subscribe(pool, old.certificate_id, NOW + LIFE)
    move(clock, LIFE / 2)

    await certificates.round()

    assert (NOW + LIFE).timestamp() == CERTIFICATE_EXPIRY._value.get()
