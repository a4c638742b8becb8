"""The use cases of callers: start, read, answer and cancel runs."""

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from services.meshkit import db
from services.workflows.engine import outcomes
from services.workflows.engine.attempt import Attempts
from services.workflows.errors import EventNotFound, NotWaiting, RunEnded, RunNotFound, WorkflowUnknown
from services.workflows.feed import Feed
from services.workflows.starting import Starter
from services.workflows.store import runs
from services.workflows.store.rows import RunRow, State

Scope = Collection[str] | None
"""The tenants that a caller may see; None means all."""


class Runs:
    """The use cases.

    Args:
        pool: Connections to PostgreSQL.
        attempts: Knows the workflows, and seals answers.
        starter: Starts runs.
        feed: The event stream.
        time_limit: The longest duration from an answer to the end or the next question.
        wake: Called when a run can continue.
    """

    def __init__(
        self,
        pool: db.Pool,
        attempts: Attempts,
        starter: Starter,
        feed: Feed,
        time_limit: timedelta,
        wake: Callable[[], None],
    ) -> None:
        self._pool, self._attempts, self._starter, self._feed = pool, attempts, starter, feed
        self._time_limit, self._wake = time_limit, wake

    async def start(self, workflow: str, event_id: str, scope: Scope) -> RunRow:
        """Start the run of a workflow for an event, or return the one that there is.

        Raises:
            WorkflowUnknown: The settings have no such workflow.
            EventNotFound: There is no such event, it belongs to no tenant, or it is out of scope.
            QueueFull: Too many runs wait.
        """
        if workflow not in self._attempts.names:
            raise WorkflowUnknown(resource=workflow, metadata={"workflow": workflow})
        tenant_id = await self._feed.tenant_of(event_id)
        if not tenant_id or (scope is not None and tenant_id not in scope):
            raise EventNotFound(resource=event_id)
        return await self._starter.start(workflow, tenant_id, event_id)

    async def get(self, run_id: str, scope: Scope) -> RunRow:
        """Return a run.

        Raises:
            RunNotFound: There is none in scope.
        """
        async with db.connection(self._pool) as connection:
            return _found(await runs.get(connection, _listed(scope), run_id), run_id)

    async def page(self, scope: Scope, before: str | None, workflow: str, state: int, count: int) -> list[RunRow]:
        """Return a page of runs, newest first."""
        async with db.connection(self._pool) as connection:
            return await runs.page(connection, _listed(scope), before, workflow, state, count)

    async def resume(self, run_id: str, question_id: str, answer: str, scope: Scope) -> RunRow:
        """Continue a waiting run with an answer. The first answer to a question counts.

        Raises:
            RunNotFound: There is none in scope.
            NotWaiting: It waits for the answer to another question, or never asked this one.
        """
        async with db.transaction(self._pool) as connection:
            row = _found(await runs.get(connection, _listed(scope), run_id, lock=True), run_id)
            if row.question_id != question_id:
                raise NotWaiting(metadata={"run_id": run_id})
            if row.state is State.WAITING:
                sealed = self._attempts.seal_answer(row, answer)
                row = _found(await runs.answer(connection, row, sealed, self._time_limit), run_id)
        self._wake()
        return row

    async def cancel(self, run_id: str, scope: Scope) -> RunRow:
        """End a run that has not ended. Safe to call again.

        Raises:
            RunNotFound: There is none in scope.
            RunEnded: It has succeeded or failed.
        """
        async with db.transaction(self._pool) as connection:
            row = _found(await runs.get(connection, _listed(scope), run_id, lock=True), run_id)
            if row.state in (State.SUCCEEDED, State.FAILED):
                raise RunEnded(metadata={"run_id": run_id})
            return await outcomes.finish(connection, row, State.CANCELLED, reason="CANCELLED") or row

    def question(self, row: RunRow) -> str:
        """Return the question of a waiting run as JSON; empty without one."""
        return self._attempts.question(row)


def _listed(scope: Scope) -> Sequence[str] | None:
    return None if scope is None else sorted(scope)


def _found(row: RunRow | None, run_id: str) -> RunRow:
    if row is None:
        raise RunNotFound(resource=run_id, metadata={"run_id": run_id})
    return row
