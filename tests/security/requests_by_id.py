"""A request of every RPC that takes one id, with the id of another tenant's resource."""

from datetime import UTC, datetime, timedelta

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.conversation.v1 import conversation_pb2
from mailmesh.conversation.v1 import conversation_service_pb2 as conversations
from mailmesh.delivery.v1 import endpoint_service_pb2 as endpoints
from mailmesh.ingest.v1 import subscription_service_pb2 as subscriptions
from mailmesh.primitives.v1 import primitive_service_pb2 as primitives
from mailmesh.processor.v1 import calendar_service_pb2 as calendars
from mailmesh.processor.v1 import classification_service_pb2 as labelling
from mailmesh.processor.v1 import content_service_pb2 as contents
from mailmesh.processor.v1 import event_service_pb2 as events
from mailmesh.processor.v1 import message_service_pb2 as messages
from mailmesh.processor.v1 import model_service_pb2 as models
from mailmesh.processor.v1 import processor_service_pb2 as pipeline
from mailmesh.processor.v1 import sealing_service_pb2 as sealing
from mailmesh.processor.v1 import search_service_pb2 as searching
from mailmesh.processor.v1 import send_service_pb2 as sends
from mailmesh.vault.v1 import api_key_service_pb2 as keys
from mailmesh.vault.v1 import export_service_pb2 as exports
from mailmesh.vault.v1 import session_service_pb2 as sessions
from mailmesh.vault.v1 import tenant_service_pb2 as tenants
from mailmesh.workflow.v1 import workflow_service_pb2 as workflows
from services.processor.conversations.intake import conversation_id
from tests.security.sides import LEAVE, NOVEMBER, WINDOW, Side, to_send

DAY = {**WINDOW, "window_end": Timestamp(seconds=int((NOVEMBER + timedelta(days=1)).timestamp()))}


def single(other: Side) -> dict[str, Message]:
    """Return every RPC that takes an id, with an id of another tenant."""
    return {
        **on_accounts(other),
        **on_subscriptions(other),
        **on_messages(other),
        **on_endpoints(other),
        **on_workflows(other),
        **on_conversations(other),
        **on_settings(other),
        **on_models(other),
        **on_pipeline(other),
        **on_calendars_of_tenant(other),
        **on_sends(other),
    }


def on_accounts(other: Side) -> dict[str, Message]:
    """Return the RPCs that act on the account, the key or the session of another tenant."""
    one = {"tenant_id": other.tenant}
    erasure = {**one, "erasure_id": other.tenant}
    asked: dict[str, Message] = {
        "TenantService/GetTenant": tenants.GetTenantRequest(**one),
        "TenantService/UpdateTenant": tenants.UpdateTenantRequest(**one, display_name="x"),
        "TenantService/DisableTenant": tenants.DisableTenantRequest(**one),
        "TenantService/EnableTenant": tenants.EnableTenantRequest(**one),
        "TenantService/DisconnectTenant": tenants.DisconnectTenantRequest(**one),
        "TenantService/EraseTenant": tenants.EraseTenantRequest(**one),
        "TenantService/ErasePerson": tenants.ErasePersonRequest(**one, address="a@b.test"),
        "ExportService/ExportTenant": exports.ExportTenantRequest(**one),
        "TenantService/GetPersonErasure": tenants.GetPersonErasureRequest(**erasure),
        "TenantService/CancelPersonErasure": tenants.CancelPersonErasureRequest(**erasure),
        "TenantService/GetErasure": tenants.GetErasureRequest(**one),
        "TenantService/TestConnection": tenants.TestConnectionRequest(**one),
        "TenantService/StartAuthorization": tenants.StartAuthorizationRequest(**one),
        "TenantService/GetAuthorization": tenants.GetAuthorizationRequest(flow_id=other.flow),
        "ApiKeyService/RevokeApiKey": keys.RevokeApiKeyRequest(api_key_id=other.key_id),
        "SessionService/RevokeSession": sessions.RevokeSessionRequest(session_id=other.session),
    }
    return {f"vault.v1.{name}": request for name, request in asked.items()}


def on_subscriptions(other: Side) -> dict[str, Message]:
    """Return the RPCs that act on a subscription of another tenant, or create one."""
    one = {"subscription_id": other.subscription}
    asked: dict[str, Message] = {
        "CreateSubscription": subscriptions.CreateSubscriptionRequest(tenant_id=other.tenant),
        "GetSubscription": subscriptions.GetSubscriptionRequest(**one),
        "RenewSubscription": subscriptions.RenewSubscriptionRequest(**one),
        "DeleteSubscription": subscriptions.DeleteSubscriptionRequest(**one),
    }
    return {f"ingest.v1.SubscriptionService/{name}": request for name, request in asked.items()}


def on_settings(other: Side) -> dict[str, Message]:
    """Return the RPCs about another tenant's sealing, search index and labels."""
    one = {"tenant_id": other.tenant}
    sealed = sealing.SealingSettings(is_enabled=True)
    indexed = searching.SearchSettings(is_enabled=True)
    labels = labelling.ClassificationSettings()
    asked: dict[str, Message] = {
        "SealingService/GetSealingSettings": sealing.GetSealingSettingsRequest(**one),
        "SealingService/UpdateSealingSettings": sealing.UpdateSealingSettingsRequest(**one, settings=sealed),
        "SearchService/SearchMail": searching.SearchMailRequest(**one),
        "SearchService/GetSearchSettings": searching.GetSearchSettingsRequest(**one),
        "SearchService/UpdateSearchSettings": searching.UpdateSearchSettingsRequest(**one, settings=indexed),
        "ClassificationService/GetClassificationSettings": labelling.GetClassificationSettingsRequest(**one),
        "ClassificationService/UpdateClassificationSettings": labelling.UpdateClassificationSettingsRequest(
            **one, settings=labels
        ),
    }
    return {f"processor.v1.{name}": request for name, request in asked.items()}


def on_pipeline(other: Side) -> dict[str, Message]:
    """Return the RPCs that process a mailbox of another tenant, its content or its event."""
    one = {"tenant_id": other.tenant}
    content = {**one, "message_id": "m"}
    since = Timestamp(seconds=int(datetime.now(UTC).timestamp()) - 60)
    asked: dict[str, Message] = {
        "EventService/GetEvent": events.GetEventRequest(event_id=other.event),
        "ContentService/ParseMessage": contents.ParseMessageRequest(**content),
        "ContentService/ExtractAttachment": contents.ExtractAttachmentRequest(**content, attachment_id="a"),
        "ProcessorService/ReconcileMailbox": pipeline.ReconcileMailboxRequest(**one),
        "ProcessorService/BackfillMailbox": pipeline.BackfillMailboxRequest(**one, since=since),
        "ProcessorService/GetBackfill": pipeline.GetBackfillRequest(**one),
        "ProcessorService/CancelBackfill": pipeline.CancelBackfillRequest(**one),
    }
    return {f"processor.v1.{name}": request for name, request in asked.items()}


def on_calendars_of_tenant(other: Side) -> dict[str, Message]:
    """Return the RPCs that ask about all calendars of another tenant; `on_calendars` has those about one."""
    one = {"tenant_id": other.tenant}
    asked: dict[str, Message] = {
        "ListCalendars": calendars.ListCalendarsRequest(**one),
        "ListCalendarEventVersions": calendars.ListCalendarEventVersionsRequest(**one, conversation_id=other.event),
        "CountMeetings": calendars.CountMeetingsRequest(**one, **WINDOW),
        "QueryFreeBusy": calendars.QueryFreeBusyRequest(**one, addresses=["ada@example.com"], **DAY),
    }
    return {f"processor.v1.CalendarService/{name}": request for name, request in asked.items()}


def on_sends(other: Side) -> dict[str, Message]:
    """Return the RPCs that act on a send of another tenant, or send from its account."""
    one = {"send_id": other.send}
    asked: dict[str, Message] = {
        "Send": to_send(other.tenant, other.send_key),
        "UploadAttachment": sends.UploadAttachmentRequest(tenant_id=other.tenant, name="a", size_bytes=1, content=b"a"),
        "ListIdentities": sends.ListIdentitiesRequest(tenant_id=other.tenant),
        "GetSend": sends.GetSendRequest(**one),
        "CancelSend": sends.CancelSendRequest(**one),
        "ResolveSend": sends.ResolveSendRequest(**one, resolution=sends.SEND_RESOLUTION_SEND_AGAIN),
    }
    return {f"processor.v1.SendService/{name}": request for name, request in asked.items()}


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


def on_models(other: Side) -> dict[str, Message]:
    """Return the RPCs that send texts of another tenant to the model, or show which were sent."""
    labels = [primitives.ClassifyLabel(name="a"), primitives.ClassifyLabel(name="b")]
    extract = models.ExtractByModelRequest(tenant_id=other.tenant, text="a")
    extract.schema.update({"type": "object", "properties": {"a": {}}})
    asked: dict[str, Message] = {
        "GetModelSettings": models.GetModelSettingsRequest(tenant_id=other.tenant),
        "UpdateModelSettings": models.UpdateModelSettingsRequest(
            tenant_id=other.tenant, settings=models.ModelSettings(is_enabled=True, may_leave_machine=True)
        ),
        "ClassifyByModel": models.ClassifyByModelRequest(tenant_id=other.tenant, text="a", labels=labels),
        "ExtractByModel": extract,
        "ListModelCalls": models.ListModelCallsRequest(tenant_id=other.tenant),
    }
    return {f"processor.v1.ModelService/{name}": request for name, request in asked.items()}


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
        "LinkConversation": conversations.LinkConversationRequest(**changed, external_ref="eve"),
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
