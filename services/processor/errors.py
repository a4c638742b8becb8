"""Processor's failures that a caller can act on."""

from services.meshkit.errors import (
    Aborted,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)


class CursorInvalid(InvalidArgument):
    """mailmesh did not issue this cursor."""

    reason = "CURSOR_INVALID"


class RequestIdReused(InvalidArgument):
    """The request id was used within the last day for a request with other content."""

    reason = "REQUEST_ID_REUSED"


class EventNotFound(NotFound):
    """There is no such event."""

    reason = "EVENT_NOT_FOUND"
    resource_type = "event"


class TenantNotFound(NotFound):
    """There is no such tenant."""

    reason = "TENANT_NOT_FOUND"
    resource_type = "tenant"


class CursorExpired(OutOfRange):
    """Events after the cursor are past retention. Resume from the oldest cursor; the events in between are lost."""

    reason = "CURSOR_EXPIRED"


class CursorEpochChanged(OutOfRange):
    """The store was restored since the cursor was issued. Start again from "earliest"."""

    reason = "CURSOR_EPOCH_CHANGED"


class KeyRevoked(Unauthenticated):
    """The API key of this stream is no longer valid. The last position stays valid."""

    reason = "KEY_REVOKED"


class ReaderTooSlow(ResourceExhausted):
    """The reader did not keep up. Open the stream again from the last position."""

    reason = "READER_TOO_SLOW"


class AbilityNotGranted(FailedPrecondition):
    """The tenant has not granted the ability that the request needs. Connect the account again with it."""

    reason = "ABILITY_NOT_GRANTED"


class ModificationNotFound(NotFound):
    """There is no such modification."""

    reason = "MODIFICATION_NOT_FOUND"
    resource_type = "modification"


class ProcessedMarkNotSet(FailedPrecondition):
    """The tenant has no setting that says how a processed mail is marked. Set it, and repeat the call."""

    reason = "PROCESSED_MARK_NOT_SET"


class ModificationQueueFull(ResourceExhausted):
    """The tenant has too many unfinished modifications. Wait until some are finished."""

    reason = "MODIFICATION_QUEUE_FULL"


class MessageNotFound(NotFound):
    """The provider does not have this mail."""

    reason = "MESSAGE_NOT_FOUND"
    resource_type = "message"


class AttachmentNotFound(NotFound):
    """The mail has no such attachment with content."""

    reason = "ATTACHMENT_NOT_FOUND"
    resource_type = "attachment"


class SendNotFound(NotFound):
    """There is no such send."""

    reason = "SEND_NOT_FOUND"
    resource_type = "send"


class CalendarNotFound(NotFound):
    """There is no such calendar."""

    reason = "CALENDAR_NOT_FOUND"
    resource_type = "calendar"


class CalendarEventNotFound(NotFound):
    """There is no such calendar event."""

    reason = "CALENDAR_EVENT_NOT_FOUND"
    resource_type = "calendar event"


class CalendarOccurrenceNotFound(NotFound):
    """The series has no occurrence with this original start, or it was cancelled. List the instances of the series."""

    reason = "CALENDAR_OCCURRENCE_NOT_FOUND"
    resource_type = "occurrence of a calendar event"


class CalendarNotFollowed(FailedPrecondition):
    """mailmesh does not follow this calendar. Follow it, and wait for "calendar.connected"."""

    reason = "CALENDAR_NOT_FOLLOWED"


class CalendarWindowTooLarge(FailedPrecondition):
    """The instances of the calendar's series take too much work in this window. Ask for a shorter one."""

    reason = "CALENDAR_WINDOW_TOO_LARGE"


class CalendarsNotRead(Unavailable):
    """No worker has read the tenant's list of calendars yet. Repeat the call after a few seconds."""

    reason = "CALENDARS_NOT_READ"


class CalendarProviderUnsupported(FailedPrecondition):
    """This version cannot read calendars of the tenant's provider."""

    reason = "CALENDAR_PROVIDER_UNSUPPORTED"


class CalendarReadOnly(FailedPrecondition):
    """The account may read this calendar and not change it."""

    reason = "CALENDAR_READ_ONLY"


class CalendarRuleUnsupported(FailedPrecondition):
    """The provider cannot hold this recurrence rule. A rule is never approximated."""

    reason = "CALENDAR_RULE_UNSUPPORTED"


class CalendarFieldUnsupported(FailedPrecondition):
    """The provider's events cannot have this value. Leave the field out for this provider."""

    reason = "CALENDAR_FIELD_UNSUPPORTED"


class CalendarNotifyUnsupported(FailedPrecondition):
    """The provider does not let a caller choose whom it tells in this way."""

    reason = "CALENDAR_NOTIFY_UNSUPPORTED"


class OnlineMeetingNotAllowed(FailedPrecondition):
    """The calendar does not permit online meetings of this provider."""

    reason = "ONLINE_MEETING_NOT_ALLOWED"


class CalendarEventNotInvited(FailedPrecondition):
    """The calendar's owner is no invited attendee of this event, or is its organizer: there is nothing to answer."""

    reason = "CALENDAR_EVENT_NOT_INVITED"


class CalendarEventNotOrganized(FailedPrecondition):
    """The calendar's owner is not the organizer of this event, and only the organizer may make this change."""

    reason = "CALENDAR_EVENT_NOT_ORGANIZED"


class CalendarEventChanged(FailedPrecondition):
    """The event has another version than this change names. Read it again."""

    reason = "CALENDAR_EVENT_CHANGED"


class CalendarBodyHoldsMeeting(FailedPrecondition):
    """Microsoft keeps the event's online meeting in its body: another body would end the meeting."""

    reason = "CALENDAR_BODY_HOLDS_MEETING"


class FreeBusyRefused(FailedPrecondition):
    """The provider does not answer this account's question for free and busy times."""

    reason = "FREE_BUSY_REFUSED"


class CalendarWriteNotFound(NotFound):
    """There is no such write."""

    reason = "CALENDAR_WRITE_NOT_FOUND"
    resource_type = "calendar write"


class CalendarWriteNotUncertain(FailedPrecondition):
    """The write is not uncertain: there is nothing to decide."""

    reason = "CALENDAR_WRITE_NOT_UNCERTAIN"


class CalendarWriteQueueFull(ResourceExhausted):
    """The tenant has too many unfinished writes. Wait until some are finished."""

    reason = "CALENDAR_WRITE_QUEUE_FULL"


class IdempotencyKeyReused(InvalidArgument):
    """The tenant has used this key for other content."""

    reason = "IDEMPOTENCY_KEY_REUSED"


class SendNotCancellable(FailedPrecondition):
    """The send is being submitted or has its outcome: it cannot be cancelled any more."""

    reason = "SEND_NOT_CANCELLABLE"


class SendNotUncertain(FailedPrecondition):
    """The send is not uncertain: there is nothing to decide."""

    reason = "SEND_NOT_UNCERTAIN"


class PersonErased(FailedPrecondition):
    """The request was erased with a person's address, and is not submitted again."""

    reason = "PERSON_ERASED"


class UploadNotFound(NotFound):
    """There is no such uploaded file. Upload it again."""

    reason = "UPLOAD_NOT_FOUND"
    resource_type = "upload"


class UploadIncomplete(FailedPrecondition):
    """Parts of the uploaded file are missing."""

    reason = "UPLOAD_INCOMPLETE"


class UploadsFull(ResourceExhausted):
    """The tenant's uploaded files have too many bytes. Wait until some are a day old."""

    reason = "UPLOADS_FULL"


class ReplayQuotaReached(ResourceExhausted):
    """The API key has replayed too many bytes in the last day. Replay fewer events, or wait."""

    reason = "REPLAY_QUOTA_REACHED"


class TenantStorageFull(ResourceExhausted):
    """The tenant's sends, uploads and modifications keep too many bytes. Wait until old ones are deleted."""

    reason = "TENANT_STORAGE_FULL"


class KeyStorageFull(ResourceExhausted):
    """The API key's sends, uploads and modifications keep too many bytes. Wait until old ones are deleted."""

    reason = "KEY_STORAGE_FULL"


class SendQueueFull(ResourceExhausted):
    """The tenant has too many unfinished sends. Wait until some are finished."""

    reason = "SEND_QUEUE_FULL"


class ConversationNotFound(NotFound):
    """There is no such conversation."""

    reason = "CONVERSATION_NOT_FOUND"
    resource_type = "conversation"


class ConversationChanged(Aborted):
    """The conversation has changed since you read it. Read it again, and repeat the call if it is still meant."""

    reason = "CONVERSATION_CHANGED"


class ConversationFinal(FailedPrecondition):
    """The conversation is closed or merged, or its customer has an answer already."""

    reason = "CONVERSATION_FINAL"


class ConversationRequestersDiffer(FailedPrecondition):
    """Conversations with different requesters are not merged, nor those whose requester was erased."""

    reason = "CONVERSATION_REQUESTERS_DIFFER"


class ConversationClaimed(FailedPrecondition):
    """Another name has claimed the conversation. Its claim ends within 120 seconds."""

    reason = "CONVERSATION_CLAIMED"


class SearchNotEnabled(FailedPrecondition):
    """Search is not enabled for the tenant. Enable it, and repeat the call."""

    reason = "SEARCH_NOT_ENABLED"


class SearchQueryInvalid(InvalidArgument):
    """The query has no word to find, or more than a query may have."""

    reason = "SEARCH_QUERY_INVALID"


class SearchTooSlow(DeadlineExceeded):
    """The search took too long. Add a rarer word, an address or a span of time."""

    reason = "SEARCH_TOO_SLOW"


class SealingExcludesSearch(FailedPrecondition):
    """Stored mail of a tenant is sealed, or indexed for search, not both. Disable one, and repeat the call."""

    reason = "SEALING_EXCLUDES_SEARCH"


class SealedTenantsFull(ResourceExhausted):
    """As many tenants have a content key as an installation keeps in memory. Erase one that is not used."""

    reason = "SEALED_TENANTS_FULL"


class ContentKeyUnavailable(Unavailable):
    """The tenant's content is sealed, and this process has not got the key from TokenVault yet."""

    reason = "CONTENT_KEY_UNAVAILABLE"


class SealBroken(DataLoss):
    """Sealed content does not open: it was altered or moved, or its key is destroyed."""

    reason = "SEAL_BROKEN"


class PrimitivesNotAvailable(FailedPrecondition):
    """Processor has no address of Primitives, which classifies mail and reads contents. The operator sets it."""

    reason = "PRIMITIVES_NOT_AVAILABLE"


class ContentTooLarge(FailedPrecondition):
    """The content at the provider is larger than what is handed to Primitives. Download it instead."""

    reason = "CONTENT_TOO_LARGE"
