"""Failures of the stream of events, and of the sealed content in it, that a caller can act on."""

from services.meshkit.errors import (
    DataLoss,
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


class ReplayQuotaReached(ResourceExhausted):
    """The API key has replayed too many bytes in the last day. Replay fewer events, or wait."""

    reason = "REPLAY_QUOTA_REACHED"


class SealedTenantsFull(ResourceExhausted):
    """As many tenants have a content key as an installation keeps in memory. Erase one that is not used."""

    reason = "SEALED_TENANTS_FULL"


class ContentKeyUnavailable(Unavailable):
    """The tenant's content is sealed, and this process has not got the key from TokenVault yet."""

    reason = "CONTENT_KEY_UNAVAILABLE"


class SealBroken(DataLoss):
    """Sealed content does not open: it was altered or moved, or its key is destroyed."""

    reason = "SEAL_BROKEN"
