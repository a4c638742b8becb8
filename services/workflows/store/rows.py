"""Runs as they are stored."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from mailmesh.workflow.v1 import workflow_service_pb2 as pb2


class State(IntEnum):
    """The states of a run; the numbers are those of the contract and of the table."""

    QUEUED = pb2.WORKFLOW_RUN_STATE_QUEUED
    RUNNING = pb2.WORKFLOW_RUN_STATE_RUNNING
    WAITING = pb2.WORKFLOW_RUN_STATE_WAITING
    SUCCEEDED = pb2.WORKFLOW_RUN_STATE_SUCCEEDED
    FAILED = pb2.WORKFLOW_RUN_STATE_FAILED
    CANCELLED = pb2.WORKFLOW_RUN_STATE_CANCELLED


@dataclass(frozen=True)
class RunRow:
    """A run.

    Args:
        tenant_id: The tenant of the event.
        run_id: The run's UUID.
        workflow: The name of the workflow.
        event_id: The event that the run is for.
        state: Its state.
        reason: The cause of its end, or of the last failed attempt; empty without one.
        detail: Where that happened; never a message that could quote a mail.
        attempts: Attempts that were begun since the last checkpoint or the last answer.
        question_id: The last question; empty without one.
        sealed_question: The question, while the run waits.
        sealed_answer: The answer to it, until the run asks another one or ends.
        revision: Grows with each change of the state.
        created_at: When it was started.
        updated_at: When its state changed.
        deadline_at: When it fails unless it has ended or received an answer.
        finished_at: When it ended, or None.
    """

    tenant_id: str
    run_id: str
    workflow: str
    event_id: str
    state: State
    reason: str
    detail: str
    attempts: int
    question_id: str
    sealed_question: bytes | None
    sealed_answer: bytes | None
    revision: int
    created_at: datetime
    updated_at: datetime
    deadline_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class Lease:
    """A process's right to change a run.

    Args:
        tenant_id: The tenant of the run.
        run_id: The run.
        lease_id: The UUID of the lease. A run with another one has a new holder, was cancelled or has ended.
    """

    tenant_id: str
    run_id: str
    lease_id: str
