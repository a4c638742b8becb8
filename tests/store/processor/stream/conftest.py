"""Shared parts of the stream's tests: connections of the service's own role, and drafts to publish."""

import itertools
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from mailmesh.calendar.v1 import event_pb2 as calendar_pb2
from mailmesh.conversation.v1 import event_pb2 as conversation_pb2
from mailmesh.mail.v1 import event_pb2
from mailmesh.processor.v1 import event_pb2 as processor_pb2
from services.processor.stream.publish import EventDraft

TENANT = "019a9f0e-7c1e-7000-8000-000000000002"
OTHER_TENANT = "019a9f0e-7c1e-7000-8000-000000000003"
_numbers = itertools.count(1)


def mail_draft(message_id: str = "", tenant_id: str = TENANT, **fields: Any) -> EventDraft:
    event = event_pb2.NormalizedMailEvent(
        provider="ms365",
        tenant_id=tenant_id,
        event_type="mail.created",
        message_id=message_id or f"m{next(_numbers)}",
        correlation_id=str(uuid.uuid4()),
        generation=1,
        is_enriched=True,
    )
    event.received_at.FromDatetime(datetime.now(UTC))
    event.message.subject = "Hello"
    event.message.body.text = "text of the mail"
    event.message.headers.add(name="From", value="a@b.example")
    event.raw.update({"id": event.message_id})
    for name, value in fields.items():
        setattr(event, name, value)
    return EventDraft(mail=event)


def tenant_draft(change_id: str, tenant_id: str = TENANT, event_type: str = "tenant.disabled") -> EventDraft:
    event = processor_pb2.TenantEvent(provider="ms365", tenant_id=tenant_id, event_type=event_type)
    event.received_at.FromDatetime(datetime.now(UTC))
    return EventDraft(tenant=event, change_id=change_id)


def conversation_draft(change_id: str, tenant_id: str = TENANT) -> EventDraft:
    event = conversation_pb2.ConversationEvent(provider="ms365", tenant_id=tenant_id, event_type="conversation.created")
    event.received_at.FromDatetime(datetime.now(UTC))
    return EventDraft(conversation=event, change_id=change_id)


def workflow_draft(
    change_id: str, run_id: str, subject: str = "", tenant_id: str = TENANT, event_type: str = "workflow.waiting"
) -> EventDraft:
    event = processor_pb2.WorkflowEvent(
        tenant_id=tenant_id, event_type=event_type, run_id=run_id, workflow="triage", subject_event_id=subject
    )
    event.received_at.FromDatetime(datetime.now(UTC))
    return EventDraft(workflow=event, change_id=change_id)


def calendar_draft(change_id: str, tenant_id: str = TENANT) -> EventDraft:
    event = calendar_pb2.NormalizedCalendarEvent(
        provider="ms365", tenant_id=tenant_id, event_type="calendar.event.created"
    )
    event.received_at.FromDatetime(datetime.now(UTC))
    return EventDraft(calendar_event=event, change_id=change_id)


@pytest.fixture
def make_drafts() -> Callable[[int], list[EventDraft]]:
    return lambda count: [mail_draft() for _ in range(count)]
