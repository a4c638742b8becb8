"""WorkflowService: callers start, follow, resume and cancel runs here."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.workflow.v1 import workflow_service_pb2 as pb2
from mailmesh.workflow.v1.workflow_service_pb2_grpc import WorkflowServiceServicer as Base
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import PageTokens, Position, is_row_id, page_size
from services.workflows.runs import Runs, Scope
from services.workflows.store.rows import RunRow

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
_MAX_NAME = 64
_MAX_QUESTION_ID = 64
_MAX_ANSWER_BYTES = 16 * 1024
_TIMES = ("created_at", "updated_at", "deadline_at", "finished_at")


class WorkflowServicer(Base):
    """Answers WorkflowService.

    Args:
        runs: The use cases.
    """

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._page_tokens = PageTokens(columns=(is_row_id,))

    @override
    async def StartWorkflow(self, request: pb2.StartWorkflowRequest, context: "Context") -> pb2.StartWorkflowResponse:
        """Start a run."""
        workflow, event_id = _text("workflow", request.workflow), check_id("event_id", request.event_id)
        row = await self._runs.start(workflow, event_id, current_caller().tenants)
        return pb2.StartWorkflowResponse(run=self._message(row))

    @override
    async def GetWorkflowRun(
        self, request: pb2.GetWorkflowRunRequest, context: "Context"
    ) -> pb2.GetWorkflowRunResponse:
        """Return one run."""
        row = await self._runs.get(check_id("run_id", request.run_id), current_caller().tenants)
        return pb2.GetWorkflowRunResponse(run=self._message(row))

    @override
    async def ListWorkflowRuns(
        self, request: pb2.ListWorkflowRunsRequest, context: "Context"
    ) -> pb2.ListWorkflowRunsResponse:
        """Return a page of runs."""
        size, position = page_size(request.page_size), self._page_tokens.read(request)
        if request.state not in pb2.WorkflowRunState.values():
            raise FieldInvalid.of("state", "must be a state of a run")
        workflow = _text("workflow", request.workflow) if request.workflow else ""
        before = None if position is None else str(position[0])
        rows = await self._runs.page(_scope(request.tenant_id), before, workflow, request.state, size + 1)
        given = rows[:size]
        last: Position | None = [given[-1].run_id] if len(rows) > size else None
        return pb2.ListWorkflowRunsResponse(
            runs=[message_of(row) for row in given], next_page_token=self._page_tokens.write(request, last)
        )

    @override
    async def ResumeWorkflow(
        self, request: pb2.ResumeWorkflowRequest, context: "Context"
    ) -> pb2.ResumeWorkflowResponse:
        """Continue a run with a person's answer."""
        run_id = check_id("run_id", request.run_id)
        question_id = _text("question_id", request.question_id, _MAX_QUESTION_ID)
        answer = _answer(request.answer)
        row = await self._runs.resume(run_id, question_id, answer, current_caller().tenants)
        return pb2.ResumeWorkflowResponse(run=self._message(row))

    @override
    async def CancelWorkflowRun(
        self, request: pb2.CancelWorkflowRunRequest, context: "Context"
    ) -> pb2.CancelWorkflowRunResponse:
        """End a run."""
        row = await self._runs.cancel(check_id("run_id", request.run_id), current_caller().tenants)
        return pb2.CancelWorkflowRunResponse(run=self._message(row))

    def _message(self, row: RunRow) -> pb2.WorkflowRun:
        message = message_of(row)
        message.question = self._runs.question(row)
        return message


def message_of(row: RunRow) -> pb2.WorkflowRun:
    """Return a run as the contract describes it, without its question."""
    message = pb2.WorkflowRun(
        run_id=row.run_id,
        workflow=row.workflow,
        tenant_id=row.tenant_id,
        event_id=row.event_id,
        state=pb2.WorkflowRunState.Name(row.state),  # type: ignore[arg-type]  # the number is one of the contract's
        reason=row.reason,
        detail=row.detail,
        attempts=row.attempts,
        question_id=row.question_id,
    )
    for name in _TIMES:
        moment: datetime | None = getattr(row, name)
        if moment is not None:
            getattr(message, name).FromDatetime(moment.astimezone(UTC))
    return message


def _scope(tenant_id: str) -> Scope:
    """Return the tenants of a list: those of the key, or the one that the request names if the key may see it."""
    tenants = current_caller().tenants
    if not tenant_id:
        return tenants
    wanted = check_id("tenant_id", tenant_id)
    return frozenset({wanted}) if tenants is None else tenants & {wanted}


def _text(field: str, value: str, most: int = _MAX_NAME) -> str:
    if not value or len(value) > most or "\0" in value:
        raise FieldInvalid.of(field, f"must have 1 to {most} characters")
    return value


def _answer(text: str) -> str:
    if len(text.encode()) > _MAX_ANSWER_BYTES:
        raise FieldInvalid.of("answer", f"must not have more than {_MAX_ANSWER_BYTES} bytes")
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        raise FieldInvalid.of("answer", "must be JSON") from None
    return text
