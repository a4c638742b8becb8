"""The bytes that requests keep in the store are bounded for each tenant and each API key, and counted exactly."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from mailmesh.processor.v1 import message_service_pb2 as message_pb2
from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.clock import ManualClock, SystemClock
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.processor.mailbox.errors import KeyStorageFull, TenantStorageFull
from services.processor.messages.requests import Modifications
from services.processor.migrate import migrations
from services.processor.outbox.errors import UploadsFull
from services.processor.outbox.retention import SendRetention
from services.processor.outbox.rows import SendRow, State
from services.processor.outbox.store import due_sends
from services.processor.outbox.uploads import Uploads
from services.processor.worker import running
from tests.programs.postgres import PostgresProgram
from tests.store.processor.ground import Ground
from tests.store.processor.outbox.sending import HASTE, Outgoing
from tests.store.processor.outbox.test_files import upload

pytestmark = pytest.mark.timeout(300)

MIB = 1024 * 1024
LATER = SystemClock().now() + timedelta(days=1)
BODY = "x" * (300 * 1024)
TRUE_SIZES = """
    SELECT holder::text, sum(size)::bigint AS bytes, sum(upload)::bigint AS upload_bytes FROM (
        SELECT tenant_id, key_id, 1024 + length(content) + length(body) + length(addressed) AS size, 0 AS upload
            FROM processor.sends
        UNION ALL SELECT tenant_id, key_id, 1024 + size_bytes, size_bytes FROM processor.uploads
        UNION ALL SELECT tenant_id, key_id, 1024 + length(content) + length(outcomes), 0 FROM processor.modifications
    ) AS kept, unnest(ARRAY[tenant_id, key_id]) AS holder WHERE holder IS NOT NULL GROUP BY 1
"""
COUNTED = "SELECT holder::text, bytes, upload_bytes FROM processor.kept_bytes WHERE bytes <> 0"


async def counts(pool: db.Pool, query: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in await pool.fetch(query))


async def submit(outgoing: Outgoing, key: str, key_id: str | None = None, **settings: Any) -> SendRow:
    """Submit a send of 300 KiB, to be sent in a day."""
    request = outgoing.request(key, text=BODY)
    request.send_at.FromDatetime(LATER)
    row, _ = await outgoing.sends(**settings).accept(request, key_id=key_id)
    return row


async def test_a_tenant_keeps_so_many_bytes_and_no_more(ground: Ground) -> None:
    outgoing, other = await Outgoing.of(ground), await Outgoing.of(ground)
    kept = [await submit(outgoing, f"{place}", tenant_kept_bytes=MIB) for place in range(3)]
    with pytest.raises(TenantStorageFull):
        await submit(outgoing, "4", tenant_kept_bytes=MIB)
    uploads = Uploads(ground.processor, ground.worker_settings(tenant_kept_bytes=MIB), SystemClock())
    with pytest.raises(TenantStorageFull):
        await uploads.take(
            pb2.UploadAttachmentRequest(
                tenant_id=outgoing.tenant.tenant_id, name="a", size_bytes=500_000, content=b"a" * 65536
            )
        )
    again, others = (
        await submit(outgoing, "0", tenant_kept_bytes=MIB), await submit(other, "4", tenant_kept_bytes=MIB)
    )  # fmt: skip
    await outgoing.sends().cancel(kept[0].send_id, None)
    room = await submit(outgoing, "4", tenant_kept_bytes=MIB)

    assert kept[0].send_id == again.send_id
    assert {State.SCHEDULED} == {others.state, room.state}
    assert await counts(ground.processor, TRUE_SIZES) == await counts(ground.processor, COUNTED)


async def test_a_key_keeps_so_many_bytes_of_all_its_tenants(ground: Ground) -> None:
    tenants, key_id = [await Outgoing.of(ground) for _ in range(2)], new_id()
    for place in range(3):
        await submit(tenants[place % 2], f"{place}", key_id, key_kept_bytes=MIB)
    with pytest.raises(KeyStorageFull):
        await submit(tenants[1], "3", key_id, key_kept_bytes=MIB)
    others = await submit(tenants[1], "3", new_id(), key_kept_bytes=MIB)

    assert State.SCHEDULED is others.state
    assert await counts(ground.processor, TRUE_SIZES) == await counts(ground.processor, COUNTED)


async def test_submissions_at_the_same_time_do_not_pass_the_bound_together(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    calls = [submit(outgoing, f"{place}", tenant_kept_bytes=MIB) for place in range(12)]
    ended = await asyncio.gather(*calls, return_exceptions=True)

    assert 3 == sum(isinstance(one, SendRow) for one in ended)
    assert 9 == sum(isinstance(one, TenantStorageFull) for one in ended)


async def test_many_small_files_count_their_rows(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    uploads = Uploads(ground.processor, ground.worker_settings(tenant_kept_bytes=MIB), SystemClock())
    await ground.processor.execute(
        "INSERT INTO processor.uploads (upload_id, tenant_id, name, content_type, size_bytes, expires_at)"
        " SELECT gen_random_uuid(), $1, 'a', 'text/plain', 1, now() FROM generate_series(1, 1023)",
        outgoing.tenant.tenant_id,
    )
    request = pb2.UploadAttachmentRequest(tenant_id=outgoing.tenant.tenant_id, name="a", size_bytes=1, content=b"a")
    with pytest.raises(TenantStorageFull):
        await uploads.take(request)
    await SendRetention(ground.processor, SystemClock()).round()
    taken = await uploads.take(request)

    assert 1 == taken.received_bytes


async def test_the_files_alone_have_their_bound(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    await upload(outgoing, "a", b"a" * 600_000)
    small = Uploads(ground.processor, ground.worker_settings(upload_bytes=MIB), SystemClock())
    with pytest.raises(UploadsFull):
        await small.take(
            pb2.UploadAttachmentRequest(
                tenant_id=outgoing.tenant.tenant_id, name="b", size_bytes=600_000, content=b"b" * 65536
            )
        )
    assert [(outgoing.tenant.tenant_id, 601_024, 600_000)] == await counts(ground.processor, COUNTED)


async def test_the_count_is_true_after_everything_that_happens_to_a_request(ground: Ground) -> None:
    outgoing, key_id = await Outgoing.of(ground), new_id()
    file = await upload(outgoing, "offer.pdf", b"%PDF")
    request = outgoing.request()
    request.attachments.add(upload_id=file.upload_id)
    sent, _ = await outgoing.sends().accept(request, key_id=key_id)
    answered = await outgoing.answer("answer")
    await outgoing.sends().cancel((await submit(outgoing, "cancelled", key_id)).send_id, None)
    await mark(ground, outgoing.tenant.tenant_id, key_id)
    async with running(ground.worker_settings(**HASTE)):
        for row in (sent, answered):
            await outgoing.ended(row.send_id)
            await outgoing.cleared(row.send_id)
    after = await counts(ground.processor, COUNTED)
    bodies = await ground.processor.fetchval("SELECT sum(length(body)) FROM processor.sends")
    true = await counts(ground.processor, TRUE_SIZES)
    await ground.processor.execute("UPDATE processor.uploads SET expires_at = now() - interval '1 hour'")
    await ground.processor.execute("DELETE FROM processor.modifications")
    await SendRetention(ground.processor, ManualClock(SystemClock().now() + timedelta(days=31))).round()
    left = await ground.processor.fetchval("SELECT count(*) FROM processor.kept_bytes")

    assert (true, 0, 0) == (after, bodies, left)
    assert {outgoing.tenant.tenant_id, key_id} == {holder for holder, _, _ in after}


async def mark(ground: Ground, tenant_id: str, key_id: str) -> None:
    """Submit a modification that no worker makes: the tenant's grant is taken away again."""
    grant = "UPDATE processor.tenants SET granted_abilities = $2 WHERE tenant_id = $1"
    await ground.processor.execute(grant, tenant_id, ["mail.read", "mail.send", "mail.mark"])
    queue: Any = ground.wakes or _SilentQueue()
    change = message_pb2.MessageChange(is_read=True)
    request = message_pb2.ModifyMessagesRequest(
        idempotency_key="m", tenant_id=tenant_id, message_ids=["gone", "gone-too"], change=change
    )
    await Modifications(ground.processor, queue, ground.worker_settings(), SystemClock()).accept(request, key_id=key_id)


class _SilentQueue:
    def wake(self, _key: str, _after_seconds: float = 0.0) -> None:
        return None


async def test_a_modification_counts_too(ground: Ground) -> None:
    outgoing, key_id = await Outgoing.of(ground), new_id()
    await mark(ground, outgoing.tenant.tenant_id, key_id)
    ids = ["m" * 400 + str(place) for place in range(1000)]
    request = message_pb2.ModifyMessagesRequest(idempotency_key="n", tenant_id=outgoing.tenant.tenant_id)
    request.message_ids.extend(ids)
    request.change.is_read = True
    queue: Any = _SilentQueue()
    calls = Modifications(ground.processor, queue, ground.worker_settings(key_kept_bytes=MIB), SystemClock())
    for key in ("n", "o"):
        request.idempotency_key = key
        await calls.accept(request, key_id=key_id)
    request.idempotency_key = "p"
    with pytest.raises(KeyStorageFull):
        await calls.accept(request, key_id=key_id)


@pytest.mark.timeout(120)
async def test_the_migration_counts_the_requests_that_are_there(postgres: PostgresProgram) -> None:
    made = postgres.empty_database("processor")
    history = migrations(Secret(made.url))
    await history.upgrade("0008")
    async with open_pool(Secret(made.url), "test", DatabaseLimits(connections=2)) as pool:
        await pool.execute(
            "INSERT INTO processor.sends (send_id, tenant_id, idempotency_key, digest, provider, content, body, state,"
            " correlation_id, deadline_at) SELECT gen_random_uuid(), $1, n::text, '', 'ms365', 'head', 'body', 1, '',"
            " now() FROM generate_series(1, 3) AS n",
            new_id(),
        )
        await history.upgrade()
        found = (await counts(pool, TRUE_SIZES), await counts(pool, COUNTED))
        await history.downgrade("0008")
        await history.upgrade()
        again = await counts(pool, COUNTED)
    postgres.drop(made)

    assert found[0] == found[1] == again
    assert 3 * 1032 == again[0][1]


async def test_a_turn_at_a_mailbox_reads_so_many_bytes(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    for place in range(10):
        await outgoing.accept(f"{place}", text=BODY)
    async with db.connection(ground.processor) as connection:
        due = await due_sends.due(connection, outgoing.tenant.tenant_id, 20)

    assert 2 * MIB <= sum(row.content.ByteSize() for row in due) < 2 * MIB + 2 * len(BODY)
