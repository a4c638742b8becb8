"""Frames of server-sent events."""

import json

from mailmesh.processor.v1 import event_pb2, event_service_pb2
from services.meshkit.errors import ShuttingDown
from services.processor.stream import sse


def test_the_data_of_any_event_is_one_line() -> None:
    event = event_pb2.Event(position="p")
    event.tenant.event_type = "tenant.error"
    event.tenant.status_detail = "a\nb\r\n\nid: x\u2028\u2029\x85"
    lines = sse.frame(event_service_pb2.StreamEventsResponse(event=event)).data.split(b"\n")

    assert [b"id: p", b"event: tenant.error"] == lines[:2]
    assert [b"", b""] == lines[3:]
    assert b"\r" not in b"".join(lines)
    assert event.tenant.status_detail == json.loads(lines[2].removeprefix(b"data: "))["tenant"]["statusDetail"]


def test_the_end_says_why_and_where() -> None:
    frame = sse.ending(ShuttingDown(metadata={"position": "p"})).data.decode()
    status = json.loads(frame.split("data: ")[1])

    assert frame.startswith("event: error\n")
    assert (14, "SHUTTING_DOWN", "p") == (
        status["code"], status["details"][0]["reason"], status["details"][0]["metadata"]["position"],
    )  # fmt: skip
