"""Server-sent events as a browser reads them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from mailmesh.processor.v1 import event_service_pb2 as pb2
from tests.store.processor.stream.conftest import mail_draft
from tests.wire.processor.stream.conftest import Processor

pytestmark = pytest.mark.timeout(300)
Frame = dict[str, str]


async def frames(call: Any) -> AsyncIterator[Frame]:
    """Read frames according to the standard: lines `name: value`; an empty line ends a frame."""
    text = ""
    while (chunk := await asyncio.wait_for(call.read(), 60)) is not grpc.aio.EOF:
        assert chunk.content_type == "text/event-stream"
        text += chunk.data.decode()
        while "\n\n" in text:
            frame, _, text = text.partition("\n\n")
            yield dict(line.split(": ", 1) for line in frame.split("\n"))


async def next_frame(reader: AsyncIterator[Frame], name: str) -> Frame:
    """Return the next frame with a member of that name."""
    async for frame in reader:
        if name in frame:
            return frame
    pytest.fail(f"the stream ended without {name}")


async def test_events_have_id_type_and_json(processor: Processor) -> None:
    (event_id,) = await processor.publish(mail_draft())
    call = processor.events.TailEvents(pb2.TailEventsRequest(cursor="earliest"), metadata=processor.key())
    reader = frames(call)
    opening = await next_frame(reader, "retry")
    frame = await next_frame(reader, "data")
    content = json.loads(frame["data"])

    assert {"retry": "3000"} == opening
    assert "mail.created" == frame["event"]
    assert frame["id"] == content["position"] == content["mail"]["position"]
    assert event_id == content["mail"]["eventId"]
    assert [] == content["mail"]["subscriptionIds"]
    assert "raw" not in content["mail"]


async def test_the_last_event_id_goes_before_the_cursor(processor: Processor) -> None:
    first, second = await processor.publish(mail_draft(), mail_draft())
    request = pb2.TailEventsRequest(cursor="earliest")
    frame = await next_frame(frames(processor.events.TailEvents(request, metadata=processor.key())), "data")
    again = processor.events.TailEvents(request, metadata=(*processor.key(), ("last-event-id", frame["id"])))
    resumed = await next_frame(frames(again), "data")

    assert first == json.loads(frame["data"])["mail"]["eventId"]
    assert second == json.loads(resumed["data"])["mail"]["eventId"]


async def test_a_heartbeat_is_a_comment_with_an_id(processor: Processor) -> None:
    request = pb2.TailEventsRequest(heartbeat_seconds=1)
    reader = frames(processor.events.TailEvents(request, metadata=processor.key()))
    frame = await next_frame(reader, "id")
    (event_id,) = await processor.publish(mail_draft())
    resumed = processor.events.TailEvents(request, metadata=(*processor.key(), ("last-event-id", frame["id"])))

    assert {"", "id"} == set(frame)
    assert event_id == json.loads((await next_frame(frames(resumed), "data"))["data"])["mail"]["eventId"]


async def test_the_end_is_an_event_with_a_status_and_a_position(processor: Processor) -> None:
    await processor.publish(mail_draft())
    request = pb2.TailEventsRequest(cursor="earliest")
    reader = frames(processor.events.TailEvents(request, metadata=processor.key()))
    last = await next_frame(reader, "data")
    stopping = asyncio.create_task(processor.stop())
    ending = await next_frame(reader, "event")
    await stopping
    status = json.loads(ending["data"])

    assert "error" == ending["event"]
    assert "SHUTTING_DOWN" == status["details"][0]["reason"]
    assert last["id"] == status["details"][0]["metadata"]["position"]


async def test_a_cursor_that_is_none_fails_before_the_stream_begins(processor: Processor) -> None:
    call = processor.events.TailEvents(pb2.TailEventsRequest(cursor="nonsense"), metadata=processor.key())
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call.read()

    assert grpc.StatusCode.INVALID_ARGUMENT == failed.value.code()


async def test_text_with_line_ends_stays_in_its_frame(processor: Processor) -> None:
    draft = mail_draft()
    assert draft.mail is not None
    draft.mail.message.subject = "a\n\nid: x\u2028b\r"
    await processor.publish(draft)
    reader = frames(processor.events.TailEvents(pb2.TailEventsRequest(cursor="earliest"), metadata=processor.key()))
    frame = await next_frame(reader, "data")

    assert "a\n\nid: x\u2028b\r" == json.loads(frame["data"])["mail"]["message"]["subject"]
