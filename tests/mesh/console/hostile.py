"""Content of strangers for each page of the console: markup, turned direction, controls, and a MiB of it."""

import asyncio
import base64
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from mailmesh.conversation.v1 import conversation_service_pb2 as conversations
from mailmesh.conversation.v1 import conversation_service_pb2_grpc as conversation_services
from mailmesh.processor.v1 import event_pb2
from mailmesh.workflow.v1 import workflow_service_pb2 as workflows
from mailmesh.workflow.v1 import workflow_service_pb2_grpc as workflow_services
from services.ingest.store.items import Kind
from tests.factories.strangers import ELEMENTS, MARKUP
from tests.mesh.accounts import connect, created_events, new_address, subscribe
from tests.mesh.console.walking import BURY, CHROMIUM, HOSTILE, RECONCILE, execute
from tests.programs.mesh import Mesh, eventually
from tests.security.sides import endpoint, run_of

MIB = MARKUP + "A" * 1_048_576
LINK = "javascript:alert(1)"
WORD = "parcel"
# Text that the services themselves would refuse or cut stands in the database, as if a fault had let it in.
_TENANT = "UPDATE vault.tenants SET display_name = $2, address = $3, status_detail = $3 WHERE tenant_id = $1"
_KEY = "UPDATE vault.api_keys SET display_name = $2 WHERE display_name = $1"
_AUDIT = """
INSERT INTO vault.audit_entries (occurred_at, audit_entry_id, actor, action, tenant_id, outcome, detail)
VALUES (now(), $1, $3, $3, $2, $3, jsonb_build_object($3::text, $4::text))
"""
_SUBSCRIPTION = "UPDATE ingest.subscriptions SET failure_reason = $2, failure_detail = $3 WHERE tenant_id = $1"
_SEND = "UPDATE processor.sends SET reason = $2, detail = $3 WHERE tenant_id = $1"
_CALENDAR = "UPDATE processor.calendars SET reason = $2, detail = $3 WHERE tenant_id = $1"
_ENDPOINT = "UPDATE delivery.endpoints SET display_name = $2, reason = $3 WHERE endpoint_id = $1"
_ATTEMPT = """
INSERT INTO delivery.attempts (attempt_id, endpoint_id, event_id, tenant_id, event_type, number, started_at,
  duration_ms, is_delivered, status, reason, answer)
VALUES ($1, $2, $3, $4, 'mail.created', 1, now(), 12, false, 500, $5, $6)
"""
_RUN = "UPDATE workflows.runs SET detail = $2 WHERE run_id = $1"
KEY_NAME, QUIET = "Hostile", "Quiet"


def hostile(mesh: Mesh) -> dict[str, Any]:
    """Prepare an account all of whose texts are hostile, and return the pages that show them."""
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address, ["mail.read", "mail.send", "calendar.read", "conversation.read"])
    subscribe(mesh, tenant)
    mesh.run("conversations", "enable", tenant, "--address", address)
    mesh.run("search-settings", "enable", tenant)
    _deliver(mesh, address)
    _meet(mesh, tenant, address)
    mails = eventually(lambda: _both(created_events(mesh, tenant)), what="both mails")
    event = mails[0].mail
    later = (datetime.now(UTC) + timedelta(days=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    words = ("--tenant", tenant, "--to", address, "--subject", ELEMENTS, "--text", "Hello", "--at", later)
    sent = mesh.run("send", *words)
    assert sent.returncode == 0, sent.stderr
    made = {"tenant": tenant, "event": event.event_id, "endpoint": endpoint(mesh, tenant)}
    made["run"], made["asking"] = (run_of(mesh, event.event_id, workflow) for workflow in ("wait", "quote"))
    eventually(lambda: _asks(mesh, made["asking"]), what="the workflow asks")
    made["conversation"] = eventually(lambda: _conversation(mesh, tenant), what="a conversation")
    key = mesh.run("keys", "create", KEY_NAME, "--role", "admin").stdout.strip()
    asyncio.run(_spoil(mesh, made))
    of = f"tenant={tenant}"
    pages = [
        *("accounts", "dead-letters", "endpoints", "workflows", "keys", "health"),
        *(f"{page}?{of}" for page in ("dead-letters", "sends", "calendars", "conversations", "audit")),
        *(f"events/{one.mail.event_id}" for one in mails),
        *(f"accounts/{tenant}", f"events?from=earliest&{of}", f"change/{event.correlation_id}?{of}"),
        *(f"endpoints/{made['endpoint']}", f"conversations/{made['conversation']}", f"workflows/{made['run']}"),
        f"workflows/{made['asking']}",
        f"search?{of}&query={WORD}",
    ]
    given = {"url": mesh.ready.http, "key": key, "chromium": CHROMIUM, "control": mesh.simulator.url}
    return {**given, **made, "pages": pages, "markup": MARKUP}


def quieten(mesh: Mesh, given: dict[str, Any]) -> None:
    """Give the accounts, the key and the endpoint harmless names, for other tests of this mesh."""

    async def work() -> None:
        await execute(mesh, "token-vault", _TENANT, given["tenant"], QUIET, "quiet@contoso.test")
        await execute(mesh, "token-vault", _KEY, MIB, QUIET)
        await execute(mesh, "ingest", "DELETE FROM ingest.dead_letters WHERE tenant_id = $1", given["tenant"])
        await execute(mesh, "delivery", _ENDPOINT, given["endpoint"], QUIET, "")

    asyncio.run(work())


def _both(events: list[event_pb2.Event]) -> list[event_pb2.Event]:
    return events if len(events) > 1 else []


def _deliver(mesh: Mesh, address: str) -> None:
    """Deliver a mail whose subject has a MiB, and one whose names, text and file names are hostile."""
    mesh.simulator.deliver(address, **HOSTILE)
    mesh.simulator.deliver(
        address,
        subject=f"{WORD} {MARKUP}",
        text=f"{WORD} {MARKUP}",
        html=HOSTILE["html"],
        attachments=[{"name": f"{MARKUP}.pdf", "contentType": "application/pdf", "base64": "JVBERi0="}],
        **{"from": f"=?utf-8?b?{base64.b64encode(MARKUP.encode()).decode()}?= <stranger@attacker.example>"},
    )


def _meet(mesh: Mesh, tenant: str, address: str) -> None:
    """Put an online meeting of today into the calendar, with an address that is no https."""
    (listed,) = json.loads(mesh.run("calendars", "list", tenant, "--json").stdout)
    path = f"accounts/{address}/calendars/{listed['providerCalendarId']}/events"
    begins = datetime.now(UTC)
    times = {"start": begins, "end": begins + timedelta(minutes=30)}
    written = {name: at.strftime("%Y-%m-%dT%H:%M:%S") for name, at in times.items()}
    meeting = {"isOnlineMeeting": True, "onlineMeetingProvider": "teamsForBusiness", "onlineMeeting": {"joinUrl": LINK}}
    mesh.simulator.call("POST", path, subject=MARKUP, **written, **meeting)
    mesh.run("calendars", "follow", listed["calendarId"])


def _conversation(mesh: Mesh, tenant: str) -> str:
    stub = conversation_services.ConversationServiceStub(mesh.channel)
    found = stub.ListConversations(conversations.ListConversationsRequest(tenant_id=tenant)).conversations
    return found[0].conversation_id if found else ""


def _asks(mesh: Mesh, run: str) -> bool:
    request = workflows.GetWorkflowRunRequest(run_id=run)
    return bool(workflow_services.WorkflowServiceStub(mesh.channel).GetWorkflowRun(request).run.question)


async def _spoil(mesh: Mesh, made: dict[str, str]) -> None:
    """Write hostile texts into the rows of each service."""
    tenant = made["tenant"]
    await execute(mesh, "token-vault", _TENANT, tenant, MIB, MARKUP)
    await execute(mesh, "token-vault", _KEY, KEY_NAME, MIB)
    await execute(mesh, "token-vault", _AUDIT, str(uuid.uuid4()), tenant, MARKUP, MIB)
    await execute(mesh, "ingest", _SUBSCRIPTION, tenant, MARKUP, MIB)
    ids = [str(uuid.uuid4()) for _ in range(3)]
    await execute(mesh, "ingest", BURY, ids[0], tenant, ids[1], Kind.RECONCILE, RECONCILE, ids[2], MARKUP, MIB)
    await execute(mesh, "processor", _SEND, tenant, MARKUP, MIB)
    await execute(mesh, "processor", _CALENDAR, tenant, MARKUP, MIB)
    await execute(mesh, "delivery", _ENDPOINT, made["endpoint"], MIB, MARKUP)
    values = (str(uuid.uuid4()), made["endpoint"], made["event"], tenant, MARKUP, MIB.encode())
    await execute(mesh, "delivery", _ATTEMPT, *values)
    await execute(mesh, "workflows", _RUN, made["run"], MIB)
