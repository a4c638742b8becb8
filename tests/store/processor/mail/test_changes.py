"""One statement writes states, threads and events of mails, under the holder's fence or not at all."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from mailmesh.mail.v1 import message_pb2
from services.meshkit import db
from services.meshkit.ids import new_id
from services.processor.mail.state import MessageState, State
from services.processor.mail.store import changes, facts
from services.processor.mail.threads import Threads, question_about
from services.processor.mailbox.store import row_changes
from services.processor.mailbox.store.mailboxes import FencedError
from services.processor.mailbox.store.row_changes import RowChange
from services.processor.stream.store.event_log import Appended, KeyRow
from tests.store.processor.stream.conftest import TENANT, mail_draft

FENCE = 7
TABLES = ("messages", "thread_messages", "thread_ids", "thread_participants", "event_keys", "events")


@pytest.fixture
async def held(pool: db.Pool) -> db.Pool:
    """Processor's database, with a mailbox that is held under a fence."""
    await pool.execute("INSERT INTO processor.mailboxes (tenant_id, fence) VALUES ($1, $2)", TENANT, FENCE)
    return pool


def mail(message_id: str, answers: str = "") -> message_pb2.MailMessage:
    made = message_pb2.MailMessage(
        internet_message_id=f"<{message_id}@x>", in_reply_to=f"<{answers}@x>" if answers else ""
    )
    made.from_address.address = "anna@a.example"
    made.to.add(address="ben@b.example")
    made.thread.provider_thread_id = f"c-{message_id}"
    return made


async def write(
    pool: db.Pool, fence: int, message_id: str, key: bytes, answers: str = "", also: RowChange | None = None
) -> tuple[str, Appended | None]:
    """Write one mail with its event, as one statement; return its thread."""
    mails, event_id = {message_id: mail(message_id, answers)}, UUID(new_id())
    async with db.connection(pool) as connection:
        known = await facts.read(connection, TENANT, [message_id], question_about(mails.values()))
        threads = await Threads.of(connection, TENANT, mails, known)
        thread = threads.assign(message_id)
        state = MessageState(message_id, state=State.ANNOUNCED)
        keys, rows = [KeyRow(TENANT, key, event_id, is_permanent=True)], [mail_draft().row(event_id)]
        now = datetime.now(UTC)
        appended = await changes.write(TENANT, fence, [state], threads.additions, now, also, connection, rows, keys)
        return thread.thread_id, appended


async def counts(pool: db.Pool) -> dict[str, int]:
    return {table: await pool.fetchval(f"SELECT count(*) FROM processor.{table}") for table in TABLES}  # noqa: S608


async def test_the_holder_writes_everything_at_once(held: db.Pool) -> None:
    first, appended = await write(held, FENCE, "m1", b"1")
    answer, _ = await write(held, FENCE, "m2", b"2", answers="m1")

    assert first == answer, "the facts about threads are those that the first write left"
    assert appended is not None
    head = await held.fetchrow(
        "SELECT max(head) AS head, max(last_event_at) AS last_event_at FROM processor.stream, processor.mailboxes"
    )
    assert head is not None
    assert head["head"] > appended.base + 1
    assert head["last_event_at"] is not None
    assert {"messages": 2, "events": 2, "event_keys": 2} == {
        table: count for table, count in (await counts(held)).items() if table in ("messages", "events", "event_keys")
    }


async def test_the_statement_is_not_planned_each_time(held: db.Pool) -> None:
    for number in range(10):
        await write(held, FENCE, f"m{number}", b"%d" % number)
    async with db.connection(held) as connection:
        plans = await connection.fetch(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements"
            " WHERE statement LIKE '%take_positions%' AND generic_plans + custom_plans > 1"
        )

    assert [(5, 5)] == [tuple(row) for row in plans]


@pytest.mark.parametrize("fence", [FENCE - 1, FENCE + 1])
async def test_without_the_fence_nothing_is_written(held: db.Pool, fence: int) -> None:
    head = await held.fetchval("SELECT max(head) FROM processor.stream")
    with pytest.raises(FencedError):
        await write(held, fence, "m1", b"1")
    assert dict.fromkeys(TABLES, 0) == await counts(held)
    assert head == await held.fetchval("SELECT max(head) FROM processor.stream")


async def test_a_change_of_the_mailbox_is_written_with_the_mail_or_not_at_all(held: db.Pool) -> None:
    now = datetime.now(UTC)
    read = row_changes.history_read(500, 510, now, None, caught_up_at=now)
    with pytest.raises(FencedError):
        await write(held, FENCE - 1, "m1", b"1", also=read)
    assert (None, None) == await cursor(held)
    _, appended = await write(held, FENCE, "m1", b"1", also=read)
    assert appended is not None
    assert (500, 510) == await cursor(held)
    _, again = await write(held, FENCE, "m1", b"1", also=row_changes.history_read(510, None, None, None, now))
    assert again is None
    assert (510, None) == await cursor(held), "the cursor moves although the event was there"


CHANGES = {
    "read": (row_changes.history_read(500, None, None, None, datetime(2026, 1, 2, tzinfo=UTC)), "caught_up_at"),
    "begun": (row_changes.history_begun(500), "history_id"),
    "restarted": (row_changes.history_restarted(500), "history_anchor"),
    "due": (row_changes.history_due(datetime(2026, 1, 2, tzinfo=UTC)), "history_due_at"),
    "anchor": (row_changes.history_anchor(500), "history_anchor"),
    "caught up": (row_changes.caught_up(datetime(2026, 1, 2, tzinfo=UTC)), "caught_up_at"),
    "resync": (row_changes.resync("{}", None), "resync"),
    "reconciled": (row_changes.reconciled(), "last_reconciled_at"),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_of_the_mailbox_alone_needs_the_fence(held: db.Pool, name: str) -> None:
    change, column = CHANGES[name]
    select = f"SELECT {column} FROM processor.mailboxes WHERE tenant_id = $1"  # noqa: S608
    async with db.connection(held) as connection:
        with pytest.raises(FencedError):
            await row_changes.save(connection, TENANT, FENCE + 1, change)
        assert await held.fetchval(select, TENANT) is None
        await row_changes.save(connection, TENANT, FENCE, change)
    assert await held.fetchval(select, TENANT) is not None


async def test_an_existing_cursor_moves_neither_back_nor_to_the_first_one_of_a_subscription(held: db.Pool) -> None:
    now = datetime.now(UTC)
    async with db.connection(held) as connection:
        for change in (
            row_changes.history_read(500, None, None, None, now),
            row_changes.history_read(400, None, None, None, now),
            row_changes.history_begun(900),
        ):
            await row_changes.save(connection, TENANT, FENCE, change)
    assert (500, None) == await cursor(held)


async def cursor(pool: db.Pool) -> tuple[int | None, int | None]:
    row = await pool.fetchrow("SELECT history_id, history_claim FROM processor.mailboxes WHERE tenant_id = $1", TENANT)
    assert row is not None
    return row["history_id"], row["history_claim"]


async def test_a_fence_that_rises_while_a_write_waits_refuses_it(held: db.Pool) -> None:
    async with held.acquire() as other, other.transaction():
        await other.execute("UPDATE processor.mailboxes SET fence = fence + 1 WHERE tenant_id = $1", TENANT)
        late = asyncio.create_task(write(held, FENCE, "m1", b"1"))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%WITH held%'"
        async with asyncio.timeout(20):
            while not await held.fetchval(waiting):
                await asyncio.sleep(0.02)
    with pytest.raises(FencedError):
        await late
    assert dict.fromkeys(TABLES, 0) == await counts(held)


async def test_an_event_whose_key_is_in_use_is_not_appended_again(held: db.Pool) -> None:
    await write(held, FENCE, "m1", b"1")
    _, again = await write(held, FENCE, "m1", b"1")
    assert again is None
    assert {"messages": 1, "events": 1, "event_keys": 1} == {
        table: count for table, count in (await counts(held)).items() if table in ("messages", "events", "event_keys")
    }


async def test_facts_that_were_not_asked_for_are_read(held: db.Pool) -> None:
    first, _ = await write(held, FENCE, "m1", b"1")
    async with db.connection(held) as connection:
        known = await facts.read(connection, TENANT, ["m2"])
        threads = await Threads.of(connection, TENANT, {"m2": mail("m2", "m1")}, known)
    assert first == threads.assign("m2").thread_id
