"""Two tenants with real resources of their own, and every RPC that takes an id of one of them."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import grpc
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.access.v1 import access_pb2
from mailmesh.calendar.v1 import calendar_event_pb2 as calendar_messages
from mailmesh.conversation.v1 import conversation_pb2
from mailmesh.conversation.v1 import conversation_service_pb2 as conversations
from mailmesh.delivery.v1 import endpoint_service_pb2 as endpoints
from mailmesh.delivery.v1 import endpoint_service_pb2_grpc as endpoint_services
from mailmesh.ingest.v1 import subscription_service_pb2 as subscriptions
from mailmesh.processor.v1 import calendar_service_pb2 as calendars
from mailmesh.processor.v1 import calendar_service_pb2_grpc as calendar_services
from mailmesh.processor.v1 import classification_service_pb2 as labelling
from mailmesh.processor.v1 import content_service_pb2 as contents
from mailmesh.processor.v1 import event_service_pb2 as events
from mailmesh.processor.v1 import message_service_pb2 as messages
from mailmesh.processor.v1 import message_service_pb2_grpc as message_services
from mailmesh.processor.v1 import processor_service_pb2 as pipeline
from mailmesh.processor.v1 import sealing_service_pb2 as sealing
from mailmesh.processor.v1 import search_service_pb2 as searching
from mailmesh.processor.v1 import send_service_pb2 as sends
from mailmesh.processor.v1 import send_service_pb2_grpc as send_services
from mailmesh.vault.v1 import api_key_service_pb2 as keys
from mailmesh.vault.v1 import api_key_service_pb2_grpc as key_services
from mailmesh.vault.v1 import export_service_pb2 as exports
from mailmesh.vault.v1 import session_service_pb2 as sessions
from mailmesh.vault.v1 import session_service_pb2_grpc as session_services
from mailmesh.vault.v1 import tenant_service_pb2 as tenants
from mailmesh.vault.v1 import tenant_service_pb2_grpc as tenant_services
from mailmesh.workflow.v1 import workflow_service_pb2 as workflows
from mailmesh.workflow.v1 import workflow_service_pb2_grpc as workflow_services
from services.processor.conversations.intake import conversation_id
from stack.cli.connection import with_key
from tests.mesh.accounts import connect, created_events, new_address, subscribe
from tests.programs.mesh import Mesh, eventually

ABILITIES = ("mail.read", "mail.send", "mail.mark")
ABILITIES_OF_KEY = (*ABILITIES, "calendar.read", "calendar.write", "conversation.read", "conversation.write")
_NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = {
    "window_start": Timestamp(seconds=int(_NOVEMBER.timestamp())),
    "window_end": Timestamp(seconds=int((_NOVEMBER + timedelta(days=61)).timestamp())),
}

DAY = {**WINDOW, "window_end": Timestamp(seconds=int((_NOVEMBER + timedelta(days=1)).timestamp()))}

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


def run_of(mesh: Mesh, event_id: str) -> str:
    """Start the run of a workflow for an event of a tenant and return its id."""
    request = workflows.StartWorkflowRequest(workflow="wait", event_id=event_id)
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


def single(other: Side) -> dict[str, Message]:
    """Return every RPC that takes an id, with an id of another tenant."""
    return {
        "vault.v1.TenantService/GetTenant": tenants.GetTenantRequest(tenant_id=other.tenant),
        "vault.v1.TenantService/UpdateTenant": tenants.UpdateTenantRequest(tenant_id=other.tenant, display_name="x"),
        "vault.v1.TenantService/DisableTenant": tenants.DisableTenantRequest(tenant_id=other.tenant),
        "vault.v1.TenantService/EnableTenant": tenants.EnableTenantRequest(tenant_id=other.tenant),
        "vault.v1.TenantService/DisconnectTenant": tenants.DisconnectTenantRequest(tenant_id=other.tenant),
        "vault.v1.TenantService/EraseTenant": tenants.EraseTenantRequest(tenant_id=other.tenant),
        "vault.v1.TenantService/ErasePerson": tenants.ErasePersonRequest(tenant_id=other.tenant, address="a@b.test"),
        "vault.v1.ExportService/ExportTenant": exports.ExportTenantRequest(tenant_id=other.tenant),
        "vault.v1.TenantService/GetPersonErasure": tenants.GetPersonErasureRequest(
            tenant_id=other.tenant, erasure_id=other.tenant
        ),
        "vault.v1.TenantService/CancelPersonErasure": tenants.CancelPersonErasureRequest(
            tenant_id=other.tenant, erasure_id=other.tenant
        ),
        "vault.v1.TenantService/GetErasure": tenants.GetErasureRequest(tenant_id=other.tenant),
        "vault.v1.TenantService/TestConnection": tenants.TestConnectionRequest(tenant_id=other.tenant),
        "vault.v1.TenantService/StartAuthorization": tenants.StartAuthorizationRequest(tenant_id=other.tenant),
        "vault.v1.TenantService/GetAuthorization": tenants.GetAuthorizationRequest(flow_id=other.flow),
        "vault.v1.ApiKeyService/RevokeApiKey": keys.RevokeApiKeyRequest(api_key_id=other.key_id),
        "vault.v1.SessionService/RevokeSession": sessions.RevokeSessionRequest(session_id=other.session),
        "ingest.v1.SubscriptionService/CreateSubscription": subscriptions.CreateSubscriptionRequest(
            tenant_id=other.tenant
        ),
        "ingest.v1.SubscriptionService/GetSubscription": subscriptions.GetSubscriptionRequest(
            subscription_id=other.subscription
        ),
        "ingest.v1.SubscriptionService/RenewSubscription": subscriptions.RenewSubscriptionRequest(
            subscription_id=other.subscription
        ),
        "ingest.v1.SubscriptionService/DeleteSubscription": subscriptions.DeleteSubscriptionRequest(
            subscription_id=other.subscription
        ),
        "processor.v1.EventService/GetEvent": events.GetEventRequest(event_id=other.event),
        **on_messages(other),
        **on_endpoints(other),
        **on_workflows(other),
        **on_conversations(other),
        "processor.v1.SealingService/GetSealingSettings": sealing.GetSealingSettingsRequest(tenant_id=other.tenant),
        "processor.v1.SealingService/UpdateSealingSettings": sealing.UpdateSealingSettingsRequest(
            tenant_id=other.tenant, settings=sealing.SealingSettings(is_enabled=True)
        ),
        "processor.v1.SearchService/SearchMail": searching.SearchMailRequest(tenant_id=other.tenant),
        "processor.v1.SearchService/GetSearchSettings": searching.GetSearchSettingsRequest(tenant_id=other.tenant),
        "processor.v1.SearchService/UpdateSearchSettings": searching.UpdateSearchSettingsRequest(
            tenant_id=other.tenant, settings=searching.SearchSettings(is_enabled=True)
        ),
        "processor.v1.ClassificationService/GetClassificationSettings": labelling.GetClassificationSettingsRequest(
            tenant_id=other.tenant
        ),
        "processor.v1.ClassificationService/UpdateClassificationSettings": (
            labelling.UpdateClassificationSettingsRequest(
                tenant_id=other.tenant, settings=labelling.ClassificationSettings()
            )
        ),
        "processor.v1.ContentService/ParseMessage": contents.ParseMessageRequest(
            tenant_id=other.tenant, message_id="m"
        ),
        "processor.v1.ContentService/ExtractAttachment": contents.ExtractAttachmentRequest(
            tenant_id=other.tenant, message_id="m", attachment_id="a"
        ),
        "processor.v1.CalendarService/ListCalendars": calendars.ListCalendarsRequest(tenant_id=other.tenant),
        "processor.v1.CalendarService/ListCalendarEventVersions": calendars.ListCalendarEventVersionsRequest(
            tenant_id=other.tenant, conversation_id=other.event
        ),
        "processor.v1.CalendarService/CountMeetings": calendars.CountMeetingsRequest(tenant_id=other.tenant, **WINDOW),
        "processor.v1.CalendarService/QueryFreeBusy": calendars.QueryFreeBusyRequest(
            tenant_id=other.tenant, addresses=["ada@example.com"], **DAY
        ),
        "processor.v1.ProcessorService/ReconcileMailbox": pipeline.ReconcileMailboxRequest(tenant_id=other.tenant),
        "processor.v1.ProcessorService/BackfillMailbox": pipeline.BackfillMailboxRequest(
            tenant_id=other.tenant, since=Timestamp(seconds=int(datetime.now(UTC).timestamp()) - 60)
        ),
        "processor.v1.ProcessorService/GetBackfill": pipeline.GetBackfillRequest(tenant_id=other.tenant),
        "processor.v1.ProcessorService/CancelBackfill": pipeline.CancelBackfillRequest(tenant_id=other.tenant),
        "processor.v1.SendService/Send": to_send(other.tenant, other.send_key),
        "processor.v1.SendService/UploadAttachment": sends.UploadAttachmentRequest(
            tenant_id=other.tenant, name="a", size_bytes=1, content=b"a"
        ),
        "processor.v1.SendService/ListIdentities": sends.ListIdentitiesRequest(tenant_id=other.tenant),
        "processor.v1.SendService/GetSend": sends.GetSendRequest(send_id=other.send),
        "processor.v1.SendService/CancelSend": sends.CancelSendRequest(send_id=other.send),
        "processor.v1.SendService/ResolveSend": sends.ResolveSendRequest(
            send_id=other.send, resolution=sends.SEND_RESOLUTION_SEND_AGAIN
        ),
    }


def on_messages(other: Side) -> dict[str, Message]:
    """Return the RPCs that act on mail of another tenant."""
    mail = {"tenant_id": other.tenant, "message_id": other.message}
    change = messages.MessageChange(is_read=True)
    asked = {
        "GetMessage": messages.GetMessageRequest(**mail),
        "GetRawMessage": messages.GetRawMessageRequest(**mail),
        "GetAttachment": messages.GetAttachmentRequest(**mail, attachment_id="1"),
        "ListFolders": messages.ListFoldersRequest(tenant_id=other.tenant),
        "ListLabels": messages.ListLabelsRequest(tenant_id=other.tenant),
        "SearchMessages": messages.SearchMessagesRequest(
            tenant_id=other.tenant, query=messages.MessageQuery(text="Confidential")
        ),
        "ModifyMessages": messages.ModifyMessagesRequest(
            idempotency_key="k", tenant_id=other.tenant, message_ids=[other.message], change=change
        ),
        "GetModification": messages.GetModificationRequest(modification_id=other.modification),
        "SetProcessedMark": messages.SetProcessedMarkRequest(
            tenant_id=other.tenant, mark=messages.ProcessedMark(is_read=True)
        ),
        "GetProcessedMark": messages.GetProcessedMarkRequest(tenant_id=other.tenant),
        "MarkProcessed": messages.MarkProcessedRequest(event_id=other.event),
    }
    return {f"processor.v1.MessageService/{name}": request for name, request in asked.items()}


def on_workflows(other: Side) -> dict[str, Message]:
    """Return the RPCs that act on a run of another tenant, or start one."""
    asked: dict[str, Message] = {
        "StartWorkflow": workflows.StartWorkflowRequest(workflow="wait", event_id=other.event),
        "GetWorkflowRun": workflows.GetWorkflowRunRequest(run_id=other.run),
        "ResumeWorkflow": workflows.ResumeWorkflowRequest(run_id=other.run, question_id="x", answer="true"),
        "CancelWorkflowRun": workflows.CancelWorkflowRunRequest(run_id=other.run),
    }
    return {f"workflow.v1.WorkflowService/{name}": request for name, request in asked.items()}


def on_endpoints(other: Side) -> dict[str, Message]:
    """Return the RPCs that act on an endpoint of another tenant."""
    one = {"endpoint_id": other.endpoint}
    asked = {
        "GetEndpoint": endpoints.GetEndpointRequest(**one),
        "UpdateEndpoint": endpoints.UpdateEndpointRequest(**one, display_name="x"),
        "PauseEndpoint": endpoints.PauseEndpointRequest(**one),
        "ResumeEndpoint": endpoints.ResumeEndpointRequest(**one),
        "DeleteEndpoint": endpoints.DeleteEndpointRequest(**one),
        "TestEndpoint": endpoints.TestEndpointRequest(**one),
        "ListAttempts": endpoints.ListAttemptsRequest(**one),
        "RotateEndpointKey": endpoints.RotateEndpointKeyRequest(**one),
        "RetryAttempt": endpoints.RetryAttemptRequest(**one, attempt_id=other.event),
        "RecoverEndpoint": endpoints.RecoverEndpointRequest(**one),
    }
    return {f"delivery.v1.EndpointService/{name}": request for name, request in asked.items()}


def on_conversations(other: Side) -> dict[str, Message]:
    """Return the RPCs that act on a conversation of another tenant."""
    one = {"conversation_id": conversation_id(other.tenant, other.message)}
    changed = {**one, "expected_version": 1}
    settings = conversation_pb2.ConversationSettings(is_enabled=True, own_addresses=["x@y.example"])
    asked = {
        "GetConversation": conversations.GetConversationRequest(**one),
        "ListConversationMessages": conversations.ListConversationMessagesRequest(**one),
        "SetConversationState": conversations.SetConversationStateRequest(
            **changed, state=conversation_pb2.CONVERSATION_STATE_CLOSED
        ),
        "MergeConversation": conversations.MergeConversationRequest(**changed, into_conversation_id=other.event),
        "SplitConversation": conversations.SplitConversationRequest(**changed, message_ids=[other.message]),
        "ClaimConversation": conversations.ClaimConversationRequest(**one, name="Eve"),
        "AssignConversation": conversations.AssignConversationRequest(**changed, assignee="Eve"),
        "SetConversationTimer": conversations.SetConversationTimerRequest(**one, name="eve"),
        "ReleaseConversation": conversations.ReleaseConversationRequest(**one, name="Eve"),
        "SetOriginalSender": conversations.SetOriginalSenderRequest(**changed, address="eve@e.example"),
        "GetConversationSettings": conversations.GetConversationSettingsRequest(tenant_id=other.tenant),
        "UpdateConversationSettings": conversations.UpdateConversationSettingsRequest(
            tenant_id=other.tenant, settings=settings
        ),
    }
    return {f"conversation.v1.ConversationService/{name}": request for name, request in asked.items()}


def on_calendars(calendar: str, event: str, write: str) -> dict[str, Message]:
    """Return the RPCs that take the id of a calendar, of its event or of a write."""
    asked = {
        "FollowCalendar": calendars.FollowCalendarRequest(calendar_id=calendar),
        "UnfollowCalendar": calendars.UnfollowCalendarRequest(calendar_id=calendar),
        "ListCalendarEvents": calendars.ListCalendarEventsRequest(calendar_id=calendar, **WINDOW),
        "GetCalendarEvent": calendars.GetCalendarEventRequest(calendar_event_id=event),
        "ListCalendarInstances": calendars.ListCalendarInstancesRequest(calendar_event_id=event, **WINDOW),
        "CreateCalendarEvent": calendars.CreateCalendarEventRequest(
            calendar_id=calendar, idempotency_key="confidential", event=LEAVE, notify=calendars.CALENDAR_NOTIFY_NONE
        ),
        "RespondToCalendarEvent": calendars.RespondToCalendarEventRequest(
            calendar_event_id=event,
            idempotency_key="confidential",
            answer=calendars.CALENDAR_ANSWER_ACCEPTED,
            notify=calendars.CALENDAR_NOTIFY_NONE,
        ),
        "UpdateCalendarEvent": calendars.UpdateCalendarEventRequest(
            calendar_event_id=event,
            idempotency_key="confidential",
            event=calendars.CalendarEventChanges(subject="Mine"),
            notify=calendars.CALENDAR_NOTIFY_NONE,
        ),
        "CancelCalendarEvent": calendars.CancelCalendarEventRequest(
            calendar_event_id=event, idempotency_key="confidential", notify=calendars.CALENDAR_NOTIFY_NONE
        ),
        "GetCalendarWrite": calendars.GetCalendarWriteRequest(calendar_write_id=write),
        "ResolveCalendarWrite": calendars.ResolveCalendarWriteRequest(
            calendar_write_id=write, resolution=calendars.CALENDAR_WRITE_RESOLUTION_DONE
        ),
    }
    return {f"processor.v1.CalendarService/{name}": request for name, request in asked.items()}


# These take a tenant as a filter of a list, or several ids: `lists` and the tests of batches try them. Those about
# whole organisations are refused to every key that is limited to tenants, before any id counts.
WITH_FILTERS = {
    "vault.v1.DirectoryService/StartConsent", "vault.v1.DirectoryService/SetAllowedMailboxes",
    "vault.v1.DirectoryService/ListMailboxes", "vault.v1.DirectoryService/ConnectMailbox",
    "vault.v1.SessionService/ListSessions",
    "vault.v1.TenantService/ConnectSharedMailbox",
    "vault.v1.DirectoryService/CreateDirectory", "vault.v1.DirectoryService/DeleteAppCredential",
    "vault.v1.ApiKeyService/CreateApiKey", "vault.v1.AuditService/ListAuditEntries",
    "ingest.v1.SubscriptionService/ListSubscriptions", "ingest.v1.SubscriptionService/BatchCreateSubscriptions",
    "ingest.v1.SubscriptionService/GetSubscriptionHealth",
    "ingest.v1.DeadLetterService/RetryDeadLetters", "processor.v1.SendService/ListSends",
    "processor.v1.CalendarService/ListCalendarWrites",
    "processor.v1.ProcessorService/ReplayEvents", "conversation.v1.ConversationService/ListConversations",
    "workflow.v1.WorkflowService/ListWorkflowRuns",
}  # fmt: skip
