"""What may go wrong in Processor that a caller can act on."""

from services.meshkit.errors import InvalidArgument, NotFound, OutOfRange, ResourceExhausted, Unauthenticated


class CursorInvalid(InvalidArgument):
    """The cursor is not one that was given out."""

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
    """Events behind the cursor are past retention. Go on from the oldest cursor; what is between is missed."""

    reason = "CURSOR_EXPIRED"


class CursorEpochChanged(OutOfRange):
    """The store was restored since the cursor was given out. Start again from "earliest"."""

    reason = "CURSOR_EPOCH_CHANGED"


class KeyRevoked(Unauthenticated):
    """The API key of this stream is not good any more. The last position stays good."""

    reason = "KEY_REVOKED"


class ReaderTooSlow(ResourceExhausted):
    """The reader did not keep up. Open the stream again from the last position."""

    reason = "READER_TOO_SLOW"
