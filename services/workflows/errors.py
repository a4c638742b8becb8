"""The failures of Workflows that a caller can act on."""

from services.meshkit.errors import DataLoss, FailedPrecondition, NotFound, ResourceExhausted, Unavailable


class WorkflowUnknown(NotFound):
    """There is no such workflow in the settings, or the extra that runs workflows is not installed."""

    reason = "WORKFLOW_UNKNOWN"
    resource_type = "workflow"


class EventNotFound(NotFound):
    """There is no such event."""

    reason = "EVENT_NOT_FOUND"
    resource_type = "event"


class RunNotFound(NotFound):
    """There is no such run."""

    reason = "WORKFLOW_RUN_NOT_FOUND"
    resource_type = "run"


class RunEnded(FailedPrecondition):
    """The run has ended already."""

    reason = "WORKFLOW_RUN_ENDED"


class NotWaiting(FailedPrecondition):
    """The run does not wait for an answer to this question."""

    reason = "WORKFLOW_NOT_WAITING"


class QueueFull(ResourceExhausted):
    """As many runs wait for their turn as the settings permit."""

    reason = "WORKFLOW_QUEUE_FULL"


class SealBroken(DataLoss):
    """A stored value of a run does not open: it was altered, or belongs to another run."""

    reason = "SEAL_BROKEN"


class KeyUnavailable(Unavailable):
    """The key that sealed a value of a run is not loaded."""

    reason = "KEY_UNAVAILABLE"
