"""The bodies of webhooks: a thin body has the ids as the whole JSON form of the event has them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from mailmesh.processor.v1 import event_pb2
from services.delivery.sending import bodies

KINDS = tuple(field.name for field in event_pb2.Event.DESCRIPTOR.oneofs_by_name["kind"].fields)
MOMENT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def event_of(kind: str) -> event_pb2.Event:
    event = event_pb2.Event()
    content: Any = getattr(event, kind)
    for field in content.DESCRIPTOR.fields:
        if field.type == field.TYPE_STRING and not field.is_repeated:
            setattr(content, field.name, f"{field.name} is “set”")
    content.received_at.FromDatetime(MOMENT)
    content.is_replay = True
    return event


@pytest.mark.parametrize("kind", KINDS)
def test_a_thin_body_has_the_ids_of_the_whole_form(kind: str) -> None:
    event = event_of(kind)
    content = bodies.content_of(event)
    whole = MessageToDict(content, always_print_fields_with_no_presence=True)
    thin = json.loads(bodies.delivery_of(event).body)

    ids = {name: whole[name] for name in bodies._IDS if name in whole}
    assert {"eventId", "tenantId", "provider", "isReplay"} <= ids.keys()
    assert ids.items() <= thin["data"].items()
    assert (whole["eventType"], whole["receivedAt"]) == (thin["type"], thin["timestamp"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_thin_body_of_an_empty_event_names_each_id(kind: str) -> None:
    event = event_pb2.Event()
    getattr(event, kind).SetInParent()
    content = bodies.content_of(event)
    whole = MessageToDict(content, always_print_fields_with_no_presence=True)
    thin = json.loads(bodies.delivery_of(event).body)

    assert {name: whole[name] for name in bodies._IDS if name in whole}.items() <= thin["data"].items()
    assert thin["timestamp"] == ""
