"""A tenant with one real resource of each kind; tests make two, and try the one's resources with the other's key."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.access.v1 import access_pb2
from mailmesh.calendar.v1 import calendar_event_pb2 as calendar_messages
from mailmesh.delivery.v1 import endpoint_service_pb2 as endpoints
from mailmesh.delivery.v1 import endpoint_service_pb2_grpc as endpoint_services
from mailmesh.processor.v1 import calendar_service_pb2 as calendars
from mailmesh.processor.v1 import calendar_service_pb2_grpc as calendar_services
from mailmesh.processor.v1 import message_service_pb2 as messages
from mailmesh.processor.v1 import message_service_pb2_grpc as message_services
from mailmesh.processor.v1 import send_service_pb2 as sends
from mailmesh.processor.v1 import send_service_pb2_grpc as send_services
from mailmesh.vault.v1 import api_key_service_pb2 as keys
from mailmesh.vault.v1 import api_key_service_pb2_grpc as key_services
from mailmesh.vault.v1 import session_service_pb2 as sessions
from mailmesh.vault.v1 import session_service_pb2_grpc as session_services
from mailmesh.vault.v1 import tenant_service_pb2 as tenants
from mailmesh.vault.v1 import tenant_service_pb2_grpc as tenant_services
from mailmesh.workflow.v1 import workflow_service_pb2 as workflows
from mailmesh.workflow.v1 import workflow_service_pb2_grpc as workflow_services
from stack.cli.connection import with_key
from tests.mesh.accounts import connect, created_events, new_address, subscribe
from tests.programs.mesh import Mesh, eventually

ABILITIES = ("mail.read", "mail.send", "mail.mark")
ABILITIES_OF_KEY = (*ABILITIES, "calendar.read", "calendar.write", "conversation.read", "conversation.write")
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = {
    "window_start": Timestamp(seconds=int(NOVEMBER.timestamp())),
    "window_end": Timestamp(seconds=int((NOVEMBER + timedelta(days=61)).timestamp())),
}

LEAVE = calendars.NewCalendarEvent(
    subject="Leave", start=calendars.NewEventTime(date="2026-12-24"), end=calendars.NewEventTime(date="2026-12-27")
)
"""A new event."""


@dataclass(frozen=True)
class Side:
    """One tenant and its own resources.

    Args:
        tenant: Its id.
        subscription: The id of its subscription.
        event: The id of its mail's event.
        message: The provider's id of its mail.
        address: Its mail address.
        key: An admin's key that is limited to it.
        key_id: The id of that key.
        flow: The id of an attempt to reconnect its account.
        send: The id of its send, which waits for its time.
        send_key: The idempotency key of that send.
        modification: The id of its modification.
        endpoint: The id of its endpoint.
        run: The id of its run of a workflow, which waits for a person.
        session: The id of a session of that key.
        channel: The edge, with that key.
    """

    tenant: str
    subscription: str
    event: str
    message: str
    address: str
    key: str
    key_id: str
    flow: str
    send: str
    send_key: str
    modification: str
    endpoint: str
    run: str
    session: str
    channel: grpc.Channel

    @property
    def marks(self) -> tuple[str, ...]:
        """Return the values that no other tenant may learn."""
        return (
            self.tenant,
            self.subscription,
            self.event,
            self.message,
            self.address,
            self.key_id,
            self.flow,
            self.send,
            self.send_key,
            self.modification,
            self.endpoint,
            self.run,
            self.session,
        )

    def seen_in(self, answer: object) -> list[str]:
        """Return the tenant's values that an answer contains."""
        return [mark for mark in self.marks if mark in str(answer)]


def side(mesh: Mesh, channel: grpc.Channel, provider: str) -> Side:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address, ABILITIES)
    made = subscribe(mesh, tenant)
    mail = mesh.simulator.deliver(address, subject="Confidential", text="Nobody else's")
    event = eventually(lambda: created_events(mesh, tenant))[0]
    request = keys.CreateApiKeyRequest(
        display_name=provider, role=access_pb2.ROLE_ADMIN, tenant_ids=[tenant], abilities=ABILITIES_OF_KEY
    )
    key = key_services.ApiKeyServiceStub(mesh.channel).CreateApiKey(request)
    signed_in = with_key(channel, key.secret)
    browser = session_services.SessionServiceStub(signed_in).CreateSession(sessions.CreateSessionRequest())
    again = tenants.StartAuthorizationRequest(tenant_id=tenant)
    started = tenant_services.TenantServiceStub(mesh.channel).StartAuthorization(again)
    send_key = f"key-{uuid.uuid4()}"
    send = send_services.SendServiceStub(mesh.channel).Send(to_send(tenant, send_key)).send
    return Side(
        tenant,
        made.subscription_id,
        event.mail.event_id,
        mail["id"],
        address,
        key.secret,
        key.api_key.api_key_id,
        started.flow_id,
        send.send_id,
        send_key,
        modified(mesh, tenant, mail["id"]),
        endpoint(mesh, tenant),
        run_of(mesh, event.mail.event_id),
        browser.session.session_id,
        signed_in,
    )


def to_send(tenant: str, key: str) -> sends.SendRequest:
    """Return a request for a mail that waits a week, so that nothing but the request is tested."""
    mail = sends.NewMail(to=[sends.Recipient(address="ada@example.com")], subject="Secret plan", text="Soon")
    request = sends.SendRequest(idempotency_key=key, tenant_id=tenant, mail=mail)
    request.send_at.FromDatetime(datetime.now(UTC) + timedelta(days=7))
    return request


def modified(mesh: Mesh, tenant: str, message: str) -> str:
    """Ask for a modification of a mail and return its id."""
    change = messages.MessageChange(is_flagged=True)
    request = messages.ModifyMessagesRequest(
        idempotency_key="confidential", tenant_id=tenant, message_ids=[message], change=change
    )
    return message_services.MessageServiceStub(mesh.channel).ModifyMessages(request).modification.modification_id


def endpoint(mesh: Mesh, tenant: str) -> str:
    """Create an endpoint of a tenant, whose events never come, and return its id."""
    chosen = endpoints.EndpointFilter(tenant_ids=[tenant], event_types=["send.uncertain"])
    request = endpoints.CreateEndpointRequest(url=f"https://receiver.example.com/{tenant}", filter=chosen)
    return endpoint_services.EndpointServiceStub(mesh.channel).CreateEndpoint(request).endpoint.endpoint_id


def run_of(mesh: Mesh, event_id: str, workflow: str = "wait") -> str:
    """Start the run of a workflow for an event of a tenant and return its id."""
    request = workflows.StartWorkflowRequest(workflow=workflow, event_id=event_id)
    return workflow_services.WorkflowServiceStub(mesh.channel).StartWorkflow(request).run.run_id


def followed(mesh: Mesh) -> tuple[str, str, str]:
    """Connect an account with a followed calendar; return the ids of the calendar, of its event, and of a write."""
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address, ("mail.read", "calendar.read", "calendar.write"))
    stub = calendar_services.CalendarServiceStub(mesh.channel)
    (calendar,) = stub.ListCalendars(calendars.ListCalendarsRequest(tenant_id=tenant), timeout=60).calendars
    path = f"accounts/{address}/calendars/{calendar.provider_calendar_id}/events"
    mesh.simulator.call("POST", path, subject="Secret", start="2026-11-30T14:00:00", end="2026-11-30T15:00:00")
    stub.FollowCalendar(calendars.FollowCalendarRequest(calendar_id=calendar.calendar_id))
    asked = calendars.ListCalendarEventsRequest(calendar_id=calendar.calendar_id, **WINDOW)
    found = eventually(lambda: read_events(stub, asked), 120, what="the calendar is read")
    request = calendars.CreateCalendarEventRequest(
        calendar_id=calendar.calendar_id,
        idempotency_key="confidential",
        event=LEAVE,
        notify=calendars.CALENDAR_NOTIFY_NONE,
    )
    write = stub.CreateCalendarEvent(request).write
    return calendar.calendar_id, found[0].calendar_event_id, write.calendar_write_id


def read_events(
    stub: calendar_services.CalendarServiceStub, asked: calendars.ListCalendarEventsRequest
) -> list[calendar_messages.CalendarEvent]:
    """Return the events of a calendar; none while it is not read yet."""
    try:
        return list(stub.ListCalendarEvents(asked).events)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
            raise
        return []
