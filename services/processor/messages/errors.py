"""Failures of reading and changing mail that a caller can act on."""

from services.meshkit.errors import FailedPrecondition, NotFound, ResourceExhausted


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


class ContentTooLarge(FailedPrecondition):
    """The content at the provider is larger than what is handed to Primitives. Download it instead."""

    reason = "CONTENT_TOO_LARGE"
