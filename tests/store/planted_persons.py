"""An address in each column that may have one, of each service's tables."""

import json
from datetime import UTC, datetime

from google.protobuf.struct_pb2 import Struct

from mailmesh.calendar.v1 import calendar_event_pb2, calendar_pb2
from mailmesh.conversation.v1 import conversation_pb2
from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.mail.v1 import message_pb2
from mailmesh.primitives.v1.primitive_service_pb2 import ClassifyLabel
from mailmesh.processor.v1 import calendar_service_pb2, message_service_pb2, send_service_pb2
from mailmesh.processor.v1.classification_service_pb2 import ClassificationSettings
from mailmesh.vault.v1 import tenant_pb2
from services.ingest.store.items import Kind as ItemKind
from services.meshkit import db
from services.meshkit.ids import new_id
from services.processor.calendar.write_rows import Kind as WriteKind
from services.processor.calendar.write_rows import State as WriteState
from services.processor.messages.rows import State as ModificationState
from services.processor.outbox.rows import State
from services.processor.stream.serialization import KIND_MAIL
from tests.store.planting import insert

UNORDERED = ("00000000-5a5a-5000-8000-000000000000", "ffffffff-5a5a-5000-8000-000000000000")
"""Ids of later rows before and behind all others, as UUIDs of version 5 have them."""
LATER_KIND = 99
"""The kind of an event that a later release has left behind."""


async def plant(pool: db.Pool, service: str, tenant: str, address: str, position: int = 1) -> None:
    """Put an address into each column of a service's tables that may have one.

    Args:
        pool: Connections, as the owner of the schema.
        service: The service.
        tenant: The tenant's UUID.
        address: The address, as a sender wrote it.
        position: The position of the first of five events in the stream.
    """
    match service:
        case "processor":
            await _plant_sends(pool, tenant, address)
            await _plant_requests(pool, tenant, address)
            await _plant_calendars(pool, tenant, address)
            await _plant_mail(pool, tenant, address)
            await _plant_events(pool, tenant, address, position)
        case "ingest":
            await _plant_inbox(pool, tenant, address)
        case "delivery":
            body = json.dumps({"from": address}).encode()
            await insert(pool, "delivery.deliveries", tenant_id=tenant, body=body)
            await insert(pool, "delivery.attempts", tenant_id=tenant, answer=f"no {address} here".encode())
        case "token_vault":
            await _plant_accounts(pool, tenant, address)


async def _plant_sends(pool: db.Pool, tenant: str, address: str) -> None:
    mail = send_service_pb2.NewMail(to=[{"address": address, "name": "Ann"}], subject="s")
    content = send_service_pb2.SendRequest(mail=mail).SerializeToString()
    body = send_service_pb2.SendRequest(mail={"text": f"Dear {address}"}).SerializeToString()
    values = {"tenant_id": tenant, "content": content, "body": body, "addressed": mail.SerializeToString()}
    sent, known = new_id(), {"state": State.SENT.value, "finished_at": datetime.now(UTC)}
    named = {"idempotency_key": f"to {address}", "detail": f"{address} got it"}
    await insert(pool, "processor.sends", send_id=new_id(), state=State.SCHEDULED.value, **values)
    await insert(pool, "processor.sends", send_id=sent, **values, **known, **named)
    of_sent = {"tenant_id": tenant, "send_id": sent, "status": f"5.1.1 {address}", "diagnostic": f"no {address}"}
    await insert(pool, "processor.send_reports", recipient=address, **of_sent)
    await insert(pool, "processor.send_reports", recipient="list@example.test", **of_sent)
    report = message_pb2.DeliveryReport(recipients=[{"address": address, "diagnostic": f"no {address}"}])
    await insert(pool, "processor.waiting_reports", tenant_id=tenant, report=report.SerializeToString())
    await insert(pool, "processor.uploads", tenant_id=tenant, name=f"{address} cv.pdf")


async def arrive(pool: db.Pool, tenant: str, address: str, position: int) -> None:
    """Put an address into rows of Processor that arrive later: a mail in a conversation, and a send.

    Args:
        pool: Connections, as the owner of the schema.
        tenant: The tenant's UUID.
        address: The address.
        position: The position of the mail's event.
    """
    mail = send_service_pb2.NewMail(to=[{"address": address}], subject="later")
    content = send_service_pb2.SendRequest(mail=mail).SerializeToString()
    waiting = {"state": State.SCHEDULED.value, "content": content, "idempotency_key": new_id()}
    await insert(pool, "processor.sends", tenant_id=tenant, send_id=new_id(), **waiting)
    await insert(pool, "processor.uploads", tenant_id=tenant, upload_id=new_id(), name=f"{address} cv.pdf")
    talk = conversation_pb2.Conversation(participants=[{"address": address}]).SerializeToString()
    for identity in UNORDERED:
        await insert(pool, "processor.thread_participants", tenant_id=tenant, thread_id=identity, address=address)
        await insert(pool, "processor.conversations", tenant_id=tenant, conversation_id=identity, content=talk)
    said = conversation_pb2.ConversationMessage(sender=address).SerializeToString()
    for message_id in ("a later one", "z later one"):  # before and behind the planted one in the order of the table
        await insert(pool, "processor.conversation_messages", tenant_id=tenant, message_id=message_id, content=said)
    basic = mail_pb2.NormalizedMailEvent(message={"from_address": {"address": address}}).SerializeToString()
    values = {"event_type": "mail.created", "kind": KIND_MAIL, "position": position, "basic": basic}
    await insert(pool, "processor.events", tenant_id=tenant, **values)
    await pool.execute("UPDATE processor.stream SET head = greatest(head, $1) WHERE id = 1", position)


async def _plant_requests(pool: db.Pool, tenant: str, address: str) -> None:
    labels = message_service_pb2.ModifyMessagesRequest(change={"add_categories": [address]}).SerializeToString()
    done = {
        "tenant_id": tenant,
        "finished_at": datetime.now(UTC),
        "detail": f"no {address}",
        "idempotency_key": address,
    }
    finished = ModificationState.FINISHED.value
    await insert(pool, "processor.modifications", content=labels, state=finished, **done)
    invited = calendar_service_pb2.CreateCalendarEventRequest(event={"attendees": [{"address": address}]})
    written = {"content": invited.SerializeToString(), "kind": WriteKind.CREATE.value, "state": WriteState.DONE.value}
    meeting = calendar_event_pb2.OnlineMeeting(join_url=f"https://meet.example.test/?of={address}").SerializeToString()
    await insert(pool, "processor.calendar_writes", provider_calendar_id=address, meeting=meeting, **written, **done)
    await insert(pool, "processor.backfills", tenant_id=tenant, detail=f"no {address}")


async def _plant_calendars(pool: db.Pool, tenant: str, address: str) -> None:
    calendar, staged = new_id(), json.dumps({"attendees": [{"email": address}]}).encode()
    info = calendar_pb2.Calendar(name=f"Calendar of {address}").SerializeToString()
    detail = f"no {address}"
    details = {"detail": detail, "poll_detail": detail}
    await insert(pool, "processor.calendars", tenant_id=tenant, calendar_id=calendar, info=info, **details)
    await insert(pool, "processor.calendars", tenant_id=tenant, provider_calendar_id=address)
    await insert(pool, "processor.calendar_lists", tenant_id=tenant, detail=detail)
    attending = calendar_event_pb2.CalendarEvent(attendees=[{"person": {"address": address}}]).SerializeToString()
    await insert(pool, "processor.calendar_events", calendar_id=calendar, content=attending)
    await insert(pool, "processor.calendar_unread", calendar_id=calendar, detail=detail)
    await insert(pool, "processor.calendar_staged", calendar_id=calendar, content=staged)


async def _plant_mail(pool: db.Pool, tenant: str, address: str) -> None:
    notification = Struct()
    notification.update({"from": address})
    await insert(pool, "processor.lookups", tenant_id=tenant, notification=notification.SerializeToString())
    await insert(pool, "processor.thread_participants", tenant_id=tenant, address=address)
    talk = conversation_pb2.Conversation(participants=[{"address": address}], subject=f"With {address}")
    await insert(pool, "processor.conversations", tenant_id=tenant, content=talk.SerializeToString())
    said = conversation_pb2.ConversationMessage(sender=address)
    await insert(pool, "processor.conversation_messages", tenant_id=tenant, content=said.SerializeToString())
    failed = message_pb2.DeliveryReport(recipients=[{"address": address, "status": f"5.1.1 {address}"}])
    await insert(pool, "processor.conversation_reports", tenant_id=tenant, report=failed.SerializeToString())
    settings = conversation_pb2.ConversationSettings(own_addresses=[address])
    await insert(pool, "processor.conversation_settings", tenant_id=tenant, content=settings.SerializeToString())
    labelling = ClassificationSettings(labels=[ClassifyLabel(name=f"of {address}", examples=[f"I am {address}"])])
    await insert(pool, "processor.classification_settings", tenant_id=tenant, content=labelling.SerializeToString())


async def _plant_events(pool: db.Pool, tenant: str, address: str, position: int) -> None:
    """Put events into the stream: one for each stored part that may have the address, and one of a later release."""
    content = {
        "basic": {"message": {"from_address": {"address": address}}},
        "body": {"message": {"body": {"text": f"Dear {address}"}}},
        "raw": {"raw": {"from": address}},
    }
    for place, (part, fields) in enumerate(content.items()):
        stored = {part: mail_pb2.NormalizedMailEvent(**fields).SerializeToString()}
        values = {"tenant_id": tenant, "event_type": "mail.created", "kind": KIND_MAIL, "position": position + place}
        await insert(pool, "processor.events", **values, **stored)
    later = {"kind": LATER_KIND, "position": position + len(content), "basic": f"by {address}".encode()}
    await insert(pool, "processor.events", tenant_id=tenant, event_type="later", **later)
    await pool.execute("UPDATE processor.stream SET head = greatest(head, $1) WHERE id = 1", later["position"])


async def _plant_inbox(pool: db.Pool, tenant: str, address: str) -> None:
    told = {"kind": ItemKind.MAIL.value, "content": json.dumps({"from": address}).encode()}
    history, detail = json.dumps([{"detail": f"no {address}"}]), f"no {address}"
    await insert(pool, "ingest.mailboxes", tenant_id=tenant)
    await insert(pool, "ingest.items", tenant_id=tenant, history=history, **told)
    await insert(pool, "ingest.worked_items", tenant_id=tenant, **told)
    await insert(pool, "ingest.dead_letters", tenant_id=tenant, history=history, detail=detail, **told)
    await insert(pool, "ingest.subscriptions", tenant_id=tenant, failure_detail=detail, provider_calendar_id=address)


async def _plant_accounts(pool: db.Pool, tenant: str, address: str) -> None:
    name, detail = f"Desk of {address}", f"no {address}"
    account = {"tenant_id": tenant, "external_account": tenant, "status": "active"}
    await insert(pool, "vault.tenants", display_name=name, status_detail=detail, **account)
    position = await pool.fetchval("SELECT count(*) FROM vault.tenant_changes")
    changed = tenant_pb2.Tenant(tenant_id=tenant, display_name=name).SerializeToString()
    await insert(pool, "vault.tenant_changes", tenant_id=tenant, position=position, tenant=changed)
    flow = {
        "login_hint": address,
        "display_name": name,
        "detail": detail,
        "ticket_digest": tenant.encode(),
        "step": "failed",
    }
    await insert(pool, "vault.authorization_flows", tenant_id=tenant, **flow)
