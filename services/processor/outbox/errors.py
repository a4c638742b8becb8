"""Failures of sends and uploads that a caller can act on."""

from services.meshkit.errors import FailedPrecondition, NotFound, ResourceExhausted


class SendNotFound(NotFound):
    """There is no such send."""

    reason = "SEND_NOT_FOUND"
    resource_type = "send"


class SendNotCancellable(FailedPrecondition):
    """The send is being submitted or has its outcome: it cannot be cancelled any more."""

    reason = "SEND_NOT_CANCELLABLE"


class SendNotUncertain(FailedPrecondition):
    """The send is not uncertain: there is nothing to decide."""

    reason = "SEND_NOT_UNCERTAIN"


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


class SendQueueFull(ResourceExhausted):
    """The tenant has too many unfinished sends. Wait until some are finished."""

    reason = "SEND_QUEUE_FULL"
