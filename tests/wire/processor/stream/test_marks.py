"""Marks of processed mails by the id of an event: which events a key may name, and whose bytes the mark counts as."""

from collections.abc import Callable
from typing import Any

import pytest

from mailmesh.processor.v1 import event_service_pb2
from mailmesh.processor.v1 import message_service_pb2 as pb2
from mailmesh.processor.v1.message_service_pb2_grpc import MessageServiceStub
from services.meshkit.ids import new_id
from services.processor.messages.store import processed_marks
from services.processor.stream.publish import EventDraft
from tests.store.processor.stream.conftest import TENANT, calendar_draft, conversation_draft, mail_draft
from tests.wire.processor.stream.conftest import Processor, Start
from tests.wire.processor.stream.test_services import reason_of

MIB = 1024 * 1024


def marking(processor: Processor, key_id: str, *abilities: str) -> tuple[tuple[str, str], ...]:
    """Return the headers of a key that may mark mail, and has further abilities."""
    return (*processor.key(key_id=key_id), ("x-mailmesh-abilities", ",".join(("mail.read", "mail.mark", *abilities))))


@pytest.mark.parametrize(
    ("draft", "ability"),
    [(conversation_draft, "conversation.read"), (calendar_draft, "calendar.read")],
    ids=["conversation", "calendar"],
)
async def test_an_event_that_a_key_may_not_read_does_not_exist_for_it(
    processor: Processor, draft: Callable[[str], EventDraft], ability: str
) -> None:
    (event_id,) = await processor.publish(draft("one"))
    marks: Any = MessageServiceStub(processor.channel)
    calls = [
        (marks.MarkProcessed, pb2.MarkProcessedRequest(event_id=event_id)),
        (processor.events.GetEvent, event_service_pb2.GetEventRequest(event_id=event_id)),
    ]

    lacking, having = marking(processor, new_id()), marking(processor, new_id(), ability)
    assert ["EVENT_NOT_FOUND"] * 2 == [await reason_of(call(request, metadata=lacking)) for call, request in calls]
    assert "FIELD_INVALID" == await reason_of(marks.MarkProcessed(calls[0][1], metadata=having))


async def test_a_mark_counts_as_bytes_of_its_key(start_processor: Start) -> None:
    processor = await start_processor(key_kept_bytes=MIB)
    full, other = new_id(), new_id()
    async with processor.pool.acquire() as connection:
        await connection.execute(
            "INSERT INTO processor.tenants (tenant_id, provider, status, changed_at, granted_abilities)"
            " VALUES ($1, 'ms365', 'active', now(), ARRAY['mail.read', 'mail.mark'])",
            TENANT,
        )
        await processed_marks.put(connection, TENANT, pb2.ProcessedMark(is_read=True), pb2.MessageChange(is_read=True))
        await connection.execute("INSERT INTO processor.kept_bytes (holder, bytes) VALUES ($1, $2)", full, MIB)
    (event_id,) = await processor.publish(mail_draft())
    marks: Any = MessageServiceStub(processor.channel)
    request = pb2.MarkProcessedRequest(event_id=event_id)

    refused = marks.MarkProcessed(request, metadata=marking(processor, full))
    assert "KEY_STORAGE_FULL" == await reason_of(refused)
    await marks.MarkProcessed(request, metadata=marking(processor, other))
    counted = await processor.pool.fetchval("SELECT bytes FROM processor.kept_bytes WHERE holder = $1", other)
    assert counted > 1024
