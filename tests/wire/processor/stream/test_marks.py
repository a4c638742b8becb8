"""Marks of processed mails by the id of an event: which events a key may name."""

from collections.abc import Callable
from typing import Any

import pytest

from mailmesh.processor.v1 import event_service_pb2
from mailmesh.processor.v1 import message_service_pb2 as pb2
from mailmesh.processor.v1.message_service_pb2_grpc import MessageServiceStub
from services.meshkit.ids import new_id
from services.processor.stream.publish import EventDraft
from tests.store.processor.stream.conftest import calendar_draft, conversation_draft
from tests.wire.processor.stream.conftest import Processor
from tests.wire.processor.stream.test_services import reason_of


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
