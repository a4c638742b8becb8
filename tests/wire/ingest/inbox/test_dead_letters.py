"""Dead letters are shown within the caller's scope, and put back."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.ingest.v1 import dead_letter_service_pb2 as pb2
from mailmesh.ingest.v1 import inbox_service_pb2 as inbox_pb2
from services.meshkit.errors import FieldInvalid, InvalidArgument, NotFound, PermissionDenied
from services.meshkit.ids import new_id
from tests.factories.ingest import Watched, add_watched, graph_body, graph_item
from tests.wire.ingest.pushing import push_graph


def as_key(tenants: str = "*", role: str = "operator") -> tuple[tuple[str, str], ...]:
    return (("x-mailmesh-key-id", new_id()), ("x-mailmesh-role", role), ("x-mailmesh-tenants", tenants))


async def bury(clients: Any, watched: Watched, count: int, reason: str = "MESSAGE_FORBIDDEN") -> list[str]:
    await push_graph(clients, graph_body(*(graph_item(watched) for _ in range(count))))
    request = inbox_pb2.ClaimItemsRequest(worker_id="worker-1", max_items=500, tenant_id=watched.tenant_id)
    [lease] = (await clients.inbox.ClaimItems(request)).leases
    buried = [
        inbox_pb2.ReleasedItem(item_id=item.item_id, reason=reason, detail="It cannot be.")
        for item in lease.items
        if item.WhichOneof("content") == "mail"
    ]
    answer = await clients.inbox.BuryItems(
        inbox_pb2.BuryItemsRequest(tenant_id=lease.tenant_id, fence=lease.fence, items=buried)
    )
    await clients.inbox.AckItems(inbox_pb2.AckItemsRequest(tenant_id=lease.tenant_id, fence=lease.fence))
    return list(answer.dead_letter_ids)


async def listed(clients: Any, tenants: str = "*", **fields: Any) -> list[pb2.DeadLetter]:
    request = pb2.ListDeadLettersRequest(**fields)
    answer = await clients.dead_letters.ListDeadLetters(request, metadata=as_key(tenants, "reader"))
    return list(answer.dead_letters)


async def retry(clients: Any, tenants: str = "*", **fields: Any) -> tuple[int, int]:
    request = pb2.RetryDeadLettersRequest(**fields)
    answer = await clients.dead_letters.RetryDeadLetters(request, metadata=as_key(tenants))
    return answer.matched, answer.retried


def ids(letters: Sequence[pb2.DeadLetter]) -> list[str]:
    return [letter.dead_letter_id for letter in letters]


async def test_a_dead_letter_tells_what_was_tried(clients: Any, database: asyncpg.Connection) -> None:
    watched = await add_watched(database)
    [dead_letter_id] = await bury(clients, watched, 1)

    [letter] = await listed(clients)

    assert (dead_letter_id, "MESSAGE_FORBIDDEN", "It cannot be.") == (
        letter.dead_letter_id,
        letter.reason,
        letter.detail,
    )
    assert ("mail.created", 1) == (letter.item.mail.event_type, letter.item.attempts)
    assert [("worker-1", "MESSAGE_FORBIDDEN")] == [(one.worker_id, one.reason) for one in letter.attempts]


async def test_dead_letters_come_in_pages_newest_first(clients: Any, database: asyncpg.Connection) -> None:
    made = await bury(clients, await add_watched(database), 5)
    seen, token = [], ""
    while True:
        request = pb2.ListDeadLettersRequest(page_size=2, page_token=token)
        answer = await clients.dead_letters.ListDeadLetters(request, metadata=as_key())
        seen += ids(answer.dead_letters)
        token = answer.next_page_token
        if not token:
            break

    assert sorted(made, reverse=True) == seen


async def test_a_page_token_belongs_to_its_filter(clients: Any, database: asyncpg.Connection) -> None:
    await bury(clients, await add_watched(database), 3)
    first = await clients.dead_letters.ListDeadLetters(pb2.ListDeadLettersRequest(page_size=1), metadata=as_key())
    other = pb2.ListDeadLettersRequest(page_token=first.next_page_token, include_retried=True)

    with pytest.raises(InvalidArgument) as caught:
        await clients.dead_letters.ListDeadLetters(other, metadata=as_key())
    assert "PAGE_TOKEN_INVALID" == caught.value.reason


async def test_a_key_sees_and_retries_its_tenants_only(clients: Any, database: asyncpg.Connection) -> None:
    mine, theirs = await add_watched(database), await add_watched(database)
    [own], [foreign] = await bury(clients, mine, 1), await bury(clients, theirs, 1)

    assert [own] == ids(await listed(clients, mine.tenant_id))
    assert [] == await listed(clients, mine.tenant_id, filter=pb2.DeadLetterFilter(tenant_id=theirs.tenant_id))
    with pytest.raises(NotFound) as caught:
        await retry(clients, mine.tenant_id, dead_letter_ids=[own, foreign])
    assert ("DEAD_LETTER_NOT_FOUND", foreign) == (caught.value.reason, caught.value.metadata["dead_letter_id"])
    everything = pb2.DeadLetterFilter(buried_from=Timestamp())
    assert (1, 1) == await retry(clients, mine.tenant_id, filter=everything)
    assert [foreign] == ids(await listed(clients))


async def test_what_is_put_back_is_worked_again_with_no_attempts(clients: Any, database: asyncpg.Connection) -> None:
    watched = await add_watched(database)
    made = await bury(clients, watched, 2)

    assert (2, 2) == await retry(clients, dead_letter_ids=made)
    assert (2, 0) == await retry(clients, dead_letter_ids=made)

    assert [] == await listed(clients)
    assert sorted(made) == sorted(ids(await listed(clients, include_retried=True)))
    request = inbox_pb2.ClaimItemsRequest(worker_id="worker-1", max_items=500)
    [lease] = (await clients.inbox.ClaimItems(request)).leases
    assert [1, 1] == [item.attempts for item in lease.items if item.WhichOneof("content") == "mail"]


async def test_a_dry_run_only_counts(clients: Any, database: asyncpg.Connection) -> None:
    made = await bury(clients, await add_watched(database), 3)

    assert (3, 0) == await retry(clients, filter=pb2.DeadLetterFilter(), dry_run=True)
    assert (1, 0) == await retry(clients, dead_letter_ids=made[:1], dry_run=True)
    assert 3 == len(await listed(clients))


async def test_dead_letters_are_chosen_by_reason_and_time(clients: Any, database: asyncpg.Connection) -> None:
    forbidden = await bury(clients, await add_watched(database), 2)
    unreadable = await bury(clients, await add_watched(database), 3, "MESSAGE_UNREADABLE")
    chosen = pb2.DeadLetterFilter(reason="MESSAGE_UNREADABLE")
    nothing = pb2.DeadLetterFilter()
    nothing.buried_before.FromJsonString("2020-01-01T00:00:00Z")

    assert (0, 0) == await retry(clients, filter=nothing)
    assert (3, 3) == await retry(clients, filter=chosen)
    assert sorted(forbidden) == sorted(ids(await listed(clients)))
    assert not set(forbidden) & set(unreadable)


async def test_dead_letters_are_counted_by_reason_within_the_callers_scope(
    clients: Any, database: asyncpg.Connection
) -> None:
    mine, theirs = await add_watched(database), await add_watched(database)
    await bury(clients, mine, 3, "MESSAGE_UNREADABLE")
    made = await bury(clients, mine, 2)
    await bury(clients, theirs, 4)
    await retry(clients, dead_letter_ids=made[:1])
    nothing = pb2.DeadLetterFilter()
    nothing.buried_before.FromJsonString("2020-01-01T00:00:00Z")

    async def counted(tenants: str = "*", **fields: Any) -> tuple[int, list[tuple[str, int, int]]]:
        request = pb2.CountDeadLettersRequest(**fields)
        answer = await clients.dead_letters.CountDeadLetters(request, metadata=as_key(tenants, "reader"))
        for one in answer.counts:
            assert one.oldest_buried_at.ToNanoseconds() <= one.newest_buried_at.ToNanoseconds()
        return answer.total, [(one.reason, one.dead_letters, one.tenants) for one in answer.counts]

    assert (8, [("MESSAGE_FORBIDDEN", 5, 2), ("MESSAGE_UNREADABLE", 3, 1)]) == await counted()
    own = (4, [("MESSAGE_UNREADABLE", 3, 1), ("MESSAGE_FORBIDDEN", 1, 1)])
    assert own == await counted(mine.tenant_id)
    assert own == await counted(filter=pb2.DeadLetterFilter(tenant_id=mine.tenant_id))
    assert (0, []) == await counted(mine.tenant_id, filter=pb2.DeadLetterFilter(tenant_id=theirs.tenant_id))
    assert (3, own[1][:1]) == await counted(mine.tenant_id, filter=pb2.DeadLetterFilter(reason="MESSAGE_UNREADABLE"))
    assert (0, []) == await counted(filter=nothing)


async def test_the_most_frequent_reasons_are_counted_and_the_total_has_them_all(
    clients: Any, database: asyncpg.Connection
) -> None:
    watched = await add_watched(database)
    await database.execute(
        "INSERT INTO ingest.dead_letters SELECT gen_random_uuid(), $1, gen_random_uuid(), 8, now(), '',"
        " gen_random_uuid(), '', 1, '[]', 'REASON_' || least(n, 120), '', now() FROM generate_series(1, 130) AS n",
        watched.tenant_id,
    )

    answer = await clients.dead_letters.CountDeadLetters(pb2.CountDeadLettersRequest(), metadata=as_key())

    assert (130, 100, "REASON_120", 11) == (
        answer.total, len(answer.counts), answer.counts[0].reason, answer.counts[0].dead_letters
    )  # fmt: skip


async def test_more_than_a_chunk_is_put_back(clients: Any, database: asyncpg.Connection) -> None:
    watched = await add_watched(database)
    await database.execute(
        "INSERT INTO ingest.dead_letters SELECT gen_random_uuid(), $1, gen_random_uuid(), 8, now(), '',"
        " gen_random_uuid(), '', 1, '[]', 'UNEXPECTED', '', now() FROM generate_series(1, 1200)",
        watched.tenant_id,
    )

    assert (1200, 1200) == await retry(clients, filter=pb2.DeadLetterFilter(tenant_id=watched.tenant_id))
    assert 1200 == await database.fetchval("SELECT count(*) FROM ingest.items")


async def test_ids_and_a_filter_are_one_too_many(clients: Any) -> None:
    both = {"dead_letter_ids": [new_id()], "filter": pb2.DeadLetterFilter()}
    for fields in ({}, {"filter": pb2.DeadLetterFilter()}, both, {"dead_letter_ids": ["x"]}):
        with pytest.raises(InvalidArgument) as caught:
            await retry(clients, **fields)
        assert FieldInvalid.reason == caught.value.reason


async def test_a_reader_may_not_retry(clients: Any) -> None:
    request = pb2.RetryDeadLettersRequest(filter=pb2.DeadLetterFilter())
    with pytest.raises(PermissionDenied):
        await clients.dead_letters.RetryDeadLetters(request, metadata=as_key(role="reader"))
