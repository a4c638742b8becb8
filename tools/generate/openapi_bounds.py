"""The bounds of requests: which values the services refuse, as JSON Schema's keywords.

The services check them. A test sends a value on each side of every bound to the running mesh, so that this table cannot
promise more or less than the services accept.
"""

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from services.providers.abilities import ABILITIES

JSON = dict[str, Any]

_PAGE_SIZE = {"minimum": 0}
_NAME = {"minLength": 1, "maxLength": 200}
_VALUES = {"maxItems": 100, "items": {"minLength": 1, "maxLength": 100}}
# Without a name in its path a request is on no route.
_MESSAGE = {"maxLength": 500}
_OFFSET = {"pattern": r"^[0-9]{1,18}$"}
_QUERY = {"maxLength": 200}
_CATEGORIES = {"maxItems": 20, "items": {"minLength": 1, "maxLength": 255}}
_LABELS = {"maxItems": 50, "items": {"minLength": 1, "maxLength": 200}}
_ID = {"format": "uuid"}
_UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_DIRECTORY = {"pattern": rf"^({_UUID}|C[0-9A-Za-z]{{2,40}})$"}
# The beginning of JSON; the services read all of it.
_JSON_TEXT = {"pattern": r'^[\[{"0-9tfn-]'}
_ADDRESSES = {"maxItems": 50, "items": {"pattern": r"^[^@]+@[^@]+$"}}
_ALLOWED = {"maxItems": 200, "items": {"pattern": r"^[^@]+@[^@]+$"}}
_VERSION = {"pattern": r"^[1-9][0-9]{0,17}$"}
_CONVERSATION_STATES = [f"CONVERSATION_STATE_{name}" for name in ("OPEN", "PENDING", "SOLVED", "CLOSED")]
_ORIGINAL_START = {"pattern": r"^([0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2})?)?$"}
_URL = {"pattern": r"^https?://[!-~]{1,2040}$"}
_TIMEOUT = {"pattern": r"^([1-9]|[12][0-9]|30)s$"}
_ID_FIELDS = frozenset(
    {
        "tenant_id",
        "event_id",
        "erasure_id",
        "flow_id",
        "api_key_id",
        "subscription_id",
        "request_id",
        "replay_id",
        "send_id",
        "modification_id",
        "endpoint_id",
        "attempt_id",
        "calendar_id",
        "calendar_event_id",
        "calendar_write_id",
        "upload_id",
        "conversation_id",
        "into_conversation_id",
        "to_conversation_id",
        "credential_id",
        "run_id",
        "session_id",
    }
)
# The page answers text that is no id as it answers an unknown id.
_WITHOUT_BOUNDS = frozenset({"mailmesh.vault.v1.ShowAuthorizationResultRequest"})

# By the message's name without its package, and the field's name in the contract.
BOUNDS: dict[str, JSON] = {
    "ListApiKeysRequest.page_size": _PAGE_SIZE,
    "ListSessionsRequest.page_size": _PAGE_SIZE,
    "ListAuditEntriesRequest.page_size": _PAGE_SIZE,
    "ListAppCredentialsRequest.page_size": _PAGE_SIZE,
    "ListDirectoriesRequest.page_size": _PAGE_SIZE,
    "ListMailboxesRequest.page_size": _PAGE_SIZE,
    "StartConsentRequest.directory_id": _ID,
    "StartConsentRequest.allowed_addresses": _ALLOWED,
    "CreateDirectoryRequest.administrator": {"pattern": r"^[^@]+@[^@]+$"},
    "CreateDirectoryRequest.allowed_addresses": _ALLOWED,
    "ListMailboxesRequest.directory_id": _DIRECTORY,
    "SetAllowedMailboxesRequest.directory_id": _DIRECTORY,
    "ConnectMailboxRequest.directory_id": _DIRECTORY,
    "ConnectMailboxRequest.mailbox_id": {"pattern": rf"^({_UUID}|[0-9]{{1,40}})$"},
    "MicrosoftCertificate.certificate_pem": {"pattern": r"^-----BEGIN CERTIFICATE-----[ -~\r\n]{1,16300}$"},
    "MicrosoftCertificate.private_key_pem": {"pattern": r"^-----BEGIN ([A-Z]+ )?PRIVATE KEY-----[ -~\r\n]{1,16300}$"},
    "AddAppCredentialRequest.service_account_key": {"pattern": r"^\s*[{]"},
    "ConnectSharedMailboxRequest.address": {"pattern": r"^[^@]+@[^@]+$"},
    "ConnectSharedMailboxRequest.display_name": {"maxLength": 200},
    "ConnectSharedMailboxRequest.abilities": {"maxItems": 20, "items": {"enum": [*ABILITIES]}},
    "ConnectMailboxRequest.display_name": {"maxLength": 200},
    "ConnectMailboxRequest.abilities": {"maxItems": 20, "items": {"enum": [*ABILITIES]}},
    "SetAllowedMailboxesRequest.allowed_addresses": _ALLOWED,
    "ListCalendarEventsRequest.page_size": _PAGE_SIZE,
    "ListCalendarEventsRequest.categories": {"maxItems": 25, "items": {"minLength": 1, "maxLength": 255}},
    "ListCalendarInstancesRequest.page_size": _PAGE_SIZE,
    "ListCalendarEventVersionsRequest.page_size": _PAGE_SIZE,
    "CountMeetingsRequest.time_zone": {"pattern": r"^([A-Za-z0-9/_+-]{1,100})?$"},
    **{
        f"{name}CalendarEventRequest.original_start": _ORIGINAL_START
        for name in ("Cancel", "Get", "RespondTo", "Update")
    },
    "ListCalendarsRequest.page_size": _PAGE_SIZE,
    "QueryFreeBusyRequest.addresses": {"minItems": 1, "maxItems": 20, "items": {"pattern": r"^[^@]+@[^@]+$"}},
    "ListCalendarWritesRequest.page_size": _PAGE_SIZE,
    "ListConversationsRequest.page_size": _PAGE_SIZE,
    "ListConversationMessagesRequest.page_size": _PAGE_SIZE,
    "ListDeadLettersRequest.page_size": _PAGE_SIZE,
    "ListEventsRequest.page_size": _PAGE_SIZE,
    "ListFoldersRequest.page_size": _PAGE_SIZE,
    "ListIdentitiesRequest.page_size": _PAGE_SIZE,
    "ListLabelsRequest.page_size": _PAGE_SIZE,
    "ListSendsRequest.page_size": _PAGE_SIZE,
    "ListEndpointsRequest.page_size": _PAGE_SIZE,
    "ListAttemptsRequest.page_size": _PAGE_SIZE,
    "ListSubscriptionsRequest.page_size": _PAGE_SIZE,
    "ListTenantsRequest.page_size": _PAGE_SIZE,
    "ListWorkflowRunsRequest.page_size": _PAGE_SIZE,
    "ListWorkflowRunsRequest.workflow": {"maxLength": 64},
    "StartWorkflowRequest.workflow": {"minLength": 1, "maxLength": 64},
    "ResumeWorkflowRequest.question_id": {"minLength": 1, "maxLength": 64},
    "ResumeWorkflowRequest.answer": _JSON_TEXT,
    "GetPipelineStatusRequest.max_tenants": {"minimum": 0, "maximum": 1000},
    "TailEventsRequest.heartbeat_seconds": {"minimum": 0, "maximum": 60},
    "ListAuditEntriesRequest.action": {"pattern": r"^[a-z0-9_.]{0,100}$"},
    "CreateApiKeyRequest.display_name": _NAME,
    "CreateApiKeyRequest.tenant_ids": {"maxItems": 1000, "items": _ID},
    "CreateApiKeyRequest.abilities": {"maxItems": 20, "items": {"enum": [*ABILITIES, "*"]}},
    "UpdateTenantRequest.display_name": _NAME,
    "UpdateTenantRequest.update_mask": {"pattern": r"^(displayName|\*)?$"},
    "DisableTenantRequest.note": {"maxLength": 500},
    "StartAuthorizationRequest.login_hint": {"maxLength": 320},
    "StartAuthorizationRequest.display_name": {"maxLength": 200},
    "StartAuthorizationRequest.abilities": {"maxItems": 20, "items": {"enum": [*ABILITIES]}},
    "CreateSubscriptionRequest.folder_id": {"maxLength": 300},
    "CreateSubscriptionRequest.label_ids": {"maxItems": 100, "items": {"minLength": 1, "maxLength": 200}},
    "CreateSubscriptionRequest.change_types": {"items": {"enum": ["created", "updated", "deleted"]}},
    "BatchCreateSubscriptionsRequest.requests": {"minItems": 1, "maxItems": 1000},
    "SendRequest.idempotency_key": _NAME,
    "ExtractDocumentRequest.content": {"pattern": r"^[A-Za-z0-9+/_=-]+$"},
    "ExtractDocumentRequest.file_name": {"maxLength": 1000},
    "ExtractDocumentRequest.content_type": {"maxLength": 1000},
    "ClassifyMessageRequest.subject": {"maxLength": 1000},
    "ClassifyMessageRequest.text": {"maxLength": 262_144},
    "ClassifyMessageRequest.labels": {"minItems": 2, "maxItems": 32},
    "ClassifyMessageRequest.minimum_margin": {"minimum": 0, "maximum": 1},
    "ClassifyLabel.name": {"minLength": 1, "maxLength": 64},
    "ClassifyLabel.examples": {"maxItems": 16, "items": {"minLength": 1, "maxLength": 500}},
    "ExtractFieldsRequest.text": {"minLength": 1, "maxLength": 65_536},
    "ParseMailRequest.content": {"pattern": r"^[A-Za-z0-9+/_=-]+$"},
    "UploadAttachmentRequest.content": {"pattern": r"^[A-Za-z0-9+/_=-]+$"},
    "ErasePersonRequest.address": {"pattern": r"^[^@]+@[^@]+$"},
    "ExportTenantRequest.address": {"pattern": r"^([^@]+@[^@]+)?$"},
    "Recipient.address": {"pattern": r"^[^@]+@[^@]+$"},
    "MailHeader.name": {"pattern": r"^[Xx]-[A-Za-z0-9-]{1,58}$"},
    "MailHeader.value": {"minLength": 1, "maxLength": 500},
    "NewMail.subject": {"maxLength": 900},
    "CreateCalendarEventRequest.idempotency_key": _NAME,
    "RespondToCalendarEventRequest.idempotency_key": _NAME,
    "CancelCalendarEventRequest.idempotency_key": _NAME,
    "CancelCalendarEventRequest.comment": {"maxLength": 1000},
    "UpdateCalendarEventRequest.idempotency_key": _NAME,
    "UpdateCalendarEventRequest.version": {"maxLength": 2000},
    "CalendarEventChanges.subject": {"maxLength": 1000},
    "CalendarEventChanges.location": {"maxLength": 500},
    "CalendarEventChanges.recurrence_rule": {"minLength": 1, "maxLength": 1000},
    "CalendarEventChanges.remove_attendees": {"maxItems": 200, "items": {"pattern": r"^[^@]+@[^@]+$"}},
    "RespondToCalendarEventRequest.comment": {"maxLength": 1000},
    "NewCalendarEvent.subject": {"maxLength": 1000},
    "NewCalendarEvent.location": {"maxLength": 500},
    "NewCalendarEvent.online_meeting_provider": {"maxLength": 100},
    "NewCalendarEvent.reminder_minutes": {"minimum": 0, "maximum": 40_320},
    "NewEventTime.local": {"pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}$"},
    "NewEventTime.date": {"pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    "NewEventTime.time_zone": {"pattern": r"^[A-Za-z0-9/_+-]{1,100}$"},
    "NewAttendee.address": {"pattern": r"^[^@]+@[^@]+$"},
    "NewAttendee.name": {"maxLength": 200},
    "ModifyMessagesRequest.idempotency_key": _NAME,
    "ModifyMessagesRequest.message_ids": {"minItems": 1, "maxItems": 1000, "items": {"minLength": 1, "maxLength": 500}},
    "GetMessageRequest.message_id": _MESSAGE,
    "GetRawMessageRequest.message_id": _MESSAGE,
    "ParseMessageRequest.message_id": _MESSAGE,
    "ExtractAttachmentRequest.message_id": _MESSAGE,
    "ExtractAttachmentRequest.attachment_id": {"maxLength": 1000},
    "GetAttachmentRequest.message_id": _MESSAGE,
    "GetRawMessageRequest.offset": _OFFSET,
    "GetAttachmentRequest.offset": _OFFSET,
    "GetAttachmentRequest.attachment_id": {"maxLength": 1000},
    "SearchMessagesRequest.page_size": _PAGE_SIZE,
    "SearchMailRequest.page_size": _PAGE_SIZE,
    "SearchMailRequest.query": {"maxLength": 500},
    "SearchMailRequest.from": {"maxLength": 320},
    "SearchMailRequest.to": {"maxLength": 320},
    "SearchMailRequest.folder_id": {"maxLength": 300},
    "SearchMailRequest.label_id": {"maxLength": 200},
    "MessageQuery.text": _QUERY,
    "MessageQuery.from": _QUERY,
    "MessageQuery.to": _QUERY,
    "MessageQuery.subject": _QUERY,
    "MessageChange.add_categories": _CATEGORIES,
    "MessageChange.remove_categories": _CATEGORIES,
    "MessageChange.add_label_ids": _LABELS,
    "MessageChange.remove_label_ids": _LABELS,
    "MessageChange.folder_id": {"minLength": 1, "maxLength": 300},
    "Reply.expected_version": _VERSION,
    "Reply.message_id": {"minLength": 1, "maxLength": 500},
    "Forward.message_id": {"minLength": 1, "maxLength": 500},
    "CreateEndpointRequest.url": _URL,
    "CreateEndpointRequest.timeout": _TIMEOUT,
    "CreateEndpointRequest.display_name": {"maxLength": 200},
    "CreateEndpointRequest.concurrency": {"minimum": 0, "maximum": 50},
    "CreateEndpointRequest.rate": {"minimum": 0, "maximum": 1000},
    "UpdateEndpointRequest.url": _URL,
    "UpdateEndpointRequest.timeout": _TIMEOUT,
    "UpdateEndpointRequest.update_mask": {"pattern": r"^(\*|[a-zA-Z]+(,[a-zA-Z]+)*)?$"},
    "UpdateEndpointRequest.display_name": {"maxLength": 200},
    "UpdateEndpointRequest.concurrency": {"minimum": 0, "maximum": 50},
    "UpdateEndpointRequest.rate": {"minimum": 0, "maximum": 1000},
    "RotateEndpointKeyRequest.overlap": {"pattern": r"^[1-9][0-9]{0,4}s$"},
    "EndpointClientCertificate.certificate": {"pattern": r"^-----BEGIN CERTIFICATE-----[ -~\r\n]{1,32000}$"},
    "EndpointClientCertificate.key": {"pattern": r"^-----BEGIN ([A-Z]+ )?PRIVATE KEY-----[ -~\r\n]{1,16000}$"},
    "EndpointClientCredentials.token_url": _URL,
    "EndpointClientCredentials.client_id": {"minLength": 1, "maxLength": 500},
    "EndpointClientCredentials.client_secret": {"minLength": 1, "maxLength": 2000},
    "EndpointClientCredentials.scope": {"maxLength": 2000},
    "EndpointHeader.name": {"minLength": 1, "maxLength": 100},
    "EndpointHeader.value": {"minLength": 1},
    "EndpointFilter.tenant_ids": {"maxItems": 1000, "items": _ID},
    "EndpointFilter.providers": _VALUES,
    "EndpointFilter.conditions": {"maxItems": 10},
    "EndpointCondition.values": {"maxItems": 20, "items": {"minLength": 1, "maxLength": 200}},
    "EndpointFilter.event_types": {
        "maxItems": 100,
        "items": {"pattern": r"^(mail|send|tenant|calendar|conversation)\.[a-z_.*]{1,90}$"},
    },
    "EventFilter.tenant_ids": {"maxItems": 1000, "items": _ID},
    "EventFilter.providers": _VALUES,
    "EventFilter.event_types": _VALUES,
    "ListConversationsRequest.states": {"maxItems": 10},
    "SplitConversationRequest.message_ids": {
        "minItems": 1,
        "maxItems": 100,
        "items": {"minLength": 1, "maxLength": 500},
    },
    "ClassifyByModelRequest.subject": {"maxLength": 1000},
    "ClassifyByModelRequest.text": {"maxLength": 65_536},
    "ClassifyByModelRequest.labels": {"minItems": 2, "maxItems": 32},
    "ExtractByModelRequest.text": {"minLength": 1, "maxLength": 65_536},
    "ClassificationSettings.labels": {"maxItems": 32},
    "ClassificationSettings.minimum_margin": {"minimum": 0, "maximum": 1},
    "ConversationSettings.own_addresses": _ADDRESSES,
    "ConversationSettings.own_domains": {"maxItems": 50, "items": {"minLength": 1}},
    "ConversationSettings.carriers": _ADDRESSES,
    "ConversationSettings.reopen_days": {"minimum": 0, "maximum": 365},
    "ConversationSettings.reopenings_an_hour": {"minimum": 0, "maximum": 100},
    "ConversationSettings.automatic_an_hour": {"minimum": 0, "maximum": 100},
    "ConversationSettings.retention_days": {"minimum": 0, "maximum": 3650},
    "ConversationSettings.quarantine_retention_days": {"minimum": 0, "maximum": 3650},
    "LinkConversationRequest.expected_version": _VERSION,
    "LinkConversationRequest.external_ref": {"maxLength": 200},
    "SetConversationStateRequest.state": {"enum": _CONVERSATION_STATES},
    "SetConversationStateRequest.expected_version": _VERSION,
    "MergeConversationRequest.expected_version": _VERSION,
    "SplitConversationRequest.expected_version": _VERSION,
    "SetOriginalSenderRequest.expected_version": _VERSION,
    "ClaimConversationRequest.name": _NAME,
    "AssignConversationRequest.expected_version": _VERSION,
    "AssignConversationRequest.assignee": {"maxLength": 200},
    "SetConversationTimerRequest.name": {"pattern": r"^[A-Za-z0-9._:-]{1,100}$"},
    "ReleaseConversationRequest.name": _NAME,
    "SetOriginalSenderRequest.address": {"pattern": r"^[^@]+@[^@]+$"},
    "RetryDeadLettersRequest.dead_letter_ids": {"maxItems": 1000, "items": _ID},
}


def bind(schema: JSON, field: FieldDescriptor, *, is_required: bool) -> None:
    """Add the bounds of a request's field to its schema.

    Args:
        schema: The schema of the field in a body or of a parameter.
        field: The field.
        is_required: Whether a request without it is refused; then an enum's UNSPECIFIED is refused as well.
    """
    owner = field.containing_type
    assert owner is not None  # noqa: S101 - only an extension outside a message has none
    if owner.full_name in _WITHOUT_BOUNDS:
        return
    bounds = BOUNDS.get(f"{owner.name}.{field.name}", {})
    if field.name in _ID_FIELDS and not owner.name.startswith("Receive"):
        bounds = _ID
    for keyword, value in bounds.items():
        schema[keyword] = {**schema["items"], **value} if keyword == "items" else value
    if is_required and "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if not value.endswith("_UNSPECIFIED")]


def field_at(message: Descriptor, path: str) -> FieldDescriptor:
    """Return the field that a parameter's name like `filter.tenantIds` stands for."""
    head, _, rest = path.partition(".")
    field = next(field for field in message.fields if head in {field.json_name, field.name})
    return field_at(field.message_type, rest) if rest and field.message_type else field
