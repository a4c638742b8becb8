"""The wings' own queues, asked in one statement."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from mailmesh.vault.v1 import tenant_pb2
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.processor.calendar.store import calendars
from services.processor.mail.store import lookups
from services.processor.mailbox.intervals import Intervals
from services.processor.mailbox.store import mailboxes
from services.processor.mailbox.store.due_queues import due_tenants
from services.processor.messages.store import modifications
from services.processor.outbox.store import due_sends
from services.processor.stream.store import tenants
from tests.store.processor.stream.conftest import OTHER_TENANT, TENANT

QUEUES = (due_sends.DUE, modifications.DUE, lookups.DUE, mailboxes.HISTORY_DUE, calendars.DUE)
_PUT_IN = {
    "sends": """
        INSERT INTO processor.sends (send_id, tenant_id, idempotency_key, digest, provider, content, state,
            correlation_id, due_at, deadline_at, body, is_plain)
        VALUES (gen_random_uuid(), $1, gen_random_uuid()::text, '', 'ms365', '', 1, '', now() + $2, now(), '', true)
    """,
    "modifications": """
        INSERT INTO processor.modifications (modification_id, tenant_id, idempotency_key, digest, provider, content,
            state, outcomes, correlation_id, due_at, deadline_at)
        VALUES (gen_random_uuid(), $1, gen_random_uuid()::text, '', 'ms365', '', 1, '', '', now() + $2, now())
    """,
    "lookups": """
        INSERT INTO processor.lookups (tenant_id, message_id, kinds, source, received_at, correlation_id,
            subscription_ids, version, was_watched, attempts, reason, due_at)
        VALUES ($1, gen_random_uuid()::text, '{}', 1, now(), '', '{}', '', false, 0, '', now() + $2)
    """,
    "history": "UPDATE processor.mailboxes SET history_due_at = now() + $2 WHERE tenant_id = $1",
    "calendars": "INSERT INTO processor.calendar_lists (tenant_id, due_at) VALUES ($1, now() + $2)",
}
EARLIER, LATER = timedelta(seconds=-5), timedelta(hours=1)


async def _opened(connection: db.Connection, tenant_id: str) -> frozenset[str]:
    _, due = await mailboxes.open_mailbox(
        connection, tenant_id, 1, None, is_polled=False, is_watched=True, reconcile_within=LATER, queues=QUEUES
    )
    return due


async def _due(connection: db.Connection, limit: int = 10) -> Sequence[str]:
    return await due_tenants(connection, QUEUES, limit)


@pytest.mark.parametrize("name", _PUT_IN)
async def test_a_due_entry_is_found_in_its_queue_and_for_its_tenant_alone(pool: db.Pool, name: str) -> None:
    async with db.connection(pool) as connection:
        assert [frozenset(), frozenset()] == [await _opened(connection, one) for one in (TENANT, OTHER_TENANT)]
        await connection.execute(_PUT_IN[name], TENANT, LATER)
        assert [] == await _due(connection)
        await connection.execute(
            _PUT_IN[name]
            + (" ON CONFLICT (tenant_id) DO UPDATE SET due_at = excluded.due_at" if name == "calendars" else ""),
            TENANT,
            EARLIER,
        )

        assert [TENANT] == await _due(connection)
        assert {name} == await _opened(connection, TENANT)
        assert not await _opened(connection, OTHER_TENANT)


async def test_a_throttled_or_stopped_tenant_waits(pool: db.Pool) -> None:
    async with db.connection(pool) as connection:
        await _opened(connection, TENANT)
        await connection.execute(_PUT_IN["lookups"], TENANT, EARLIER)
        await connection.execute("UPDATE processor.mailboxes SET throttled_until = now() + interval '1 hour'")
        assert [] == await _due(connection)
        await connection.execute("UPDATE processor.mailboxes SET throttled_until = now() - interval '1 hour'")
        assert [TENANT] == await _due(connection)
        await connection.execute(
            "INSERT INTO processor.tenants (tenant_id, provider, external_tenant_id, user_id, status, change_number,"
            " changed_at) VALUES ($1, 'ms365', '', '', 'needs_reauthorization', 1, now())",
            TENANT,
        )
        assert [] == await _due(connection)


async def test_sends_that_are_held_back_wait(pool: db.Pool) -> None:
    async with db.connection(pool) as connection:
        await _opened(connection, TENANT)
        await connection.execute(_PUT_IN["sends"], TENANT, EARLIER)
        assert [TENANT] == await _due(connection)
        await due_sends.hold_back(connection, TENANT, (await connection.fetchval("SELECT now()")) + LATER)

        assert [] == await _due(connection)
        assert not await _opened(connection, TENANT)


async def test_due_reconciliations_of_several_tenants_are_taken_once(pool: db.Pool) -> None:
    both = (TENANT, OTHER_TENANT)
    intervals = Intervals(polled=LATER, active=LATER, idle=LATER)
    async with db.connection(pool) as connection:
        for tenant_id in both:
            await _opened(connection, tenant_id)
            tenant = tenant_pb2.Tenant(tenant_id=tenant_id, provider="ms365")
            await tenants.save(connection, tenant, "active", SystemClock().now())
        await connection.execute("UPDATE processor.mailboxes SET reconcile_due_at = now()")
        taken = [sorted(await mailboxes.take_due(connection, intervals, 10)) for _ in range(2)]

    assert [[(tenant_id, False) for tenant_id in sorted(both)], []] == taken


async def test_the_queues_take_turns(pool: db.Pool) -> None:
    others = [TENANT[:-2] + f"{number:02x}" for number in range(0x20, 0x24)]
    async with db.connection(pool) as connection:
        for age, tenant_id in enumerate(others):
            await connection.execute(_PUT_IN["sends"], tenant_id, EARLIER * (10 - age))
        await connection.execute(_PUT_IN["calendars"], OTHER_TENANT, EARLIER)

        assert [others[0], OTHER_TENANT] == await _due(connection, 2)
        assert [others[0], OTHER_TENANT, *others[1:]] == await _due(connection)
