"""One attempt: run the steps of a run from its last checkpoint to its end, its next question or a failure."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from services.meshkit import db
from services.workflows.engine.context import Mesh
from services.workflows.engine.failures import AskedTwice, QuestionInvalid, TooManySteps
from services.workflows.engine.graphs import Graphs
from services.workflows.engine.threads import RUN
from services.workflows.sealing import Cipher
from services.workflows.store.rows import RunRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langgraph.checkpoint.base import CheckpointTuple
    from langgraph.types import Interrupt

MAX_QUESTION_BYTES = 4096
QUESTION, ANSWER = "question", "answer"


@dataclass(frozen=True)
class Question:
    """A question to a person.

    Args:
        question_id: Its id, of LangGraph.
        sealed: The question as JSON, sealed.
    """

    question_id: str
    sealed: bytes


class Asked:
    """The questions behind a checkpoint, and which of them were answered.

    LangGraph gives an answer to the next question of the same step if the first one has had it already. So an answer is
    handed over only while its own question is open.

    Args:
        found: The newest checkpoint, or None.
    """

    def __init__(self, found: "CheckpointTuple | None") -> None:
        writes = (found.pending_writes or []) if found else []
        self.has_begun = found is not None
        """Whether there is a checkpoint."""
        self.steps = found.metadata["step"] if found else -2
        """The steps that are stored, as LangGraph counts them: a run begins two before its first step."""
        self._answered = {task_id for task_id, channel, _ in writes if channel == "__resume__"}
        self._steps = {
            one.id: task_id for task_id, channel, value in writes if channel == "__interrupt__" for one in value
        }

    def is_open(self, question_id: str) -> bool:
        """Return whether a step waits for the answer to this question, and has had no answer before."""
        step = self._steps.get(question_id)
        return step is not None and step not in self._answered


class Attempts:
    """Runs steps.

    Args:
        graphs: The operator's graphs.
        pool: Connections to PostgreSQL.
        cipher: Seals states, questions and answers.
        edge: The channel to the edge.
    """

    def __init__(self, graphs: Graphs, pool: db.Pool, cipher: Cipher, edge: grpc.aio.Channel) -> None:
        self._graphs, self._pool, self._cipher, self._edge = graphs, pool, cipher, edge

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the workflows."""
        return tuple(self._graphs)

    async def run(self, row: RunRow, lease_id: str) -> Question | None:
        """Run steps until the end, which returns None, or until a question.

        Safe to call again: steps whose results are stored are not repeated, and an answer that was used is not used
        for another question.

        Raises:
            LeaseLost: Another process holds the run, or it has ended.
            TooManySteps: The run has had as many steps as a run may have.
            Exception: A failure of the operator's code.
        """
        # LangGraph is an extra, which takes a second to import.
        from langgraph.errors import GraphRecursionError  # noqa: PLC0415
        from langgraph.types import Command  # noqa: PLC0415

        from services.workflows.engine.saver import MAX_STEPS, RunSaver  # noqa: PLC0415

        saver = RunSaver(self._pool, self._cipher, row.tenant_id, lease_id)
        graph = self._graphs[row.workflow].compile(checkpointer=saver)
        config: Any = {"configurable": {"thread_id": row.run_id}}
        given: Any = None
        asked = Asked(await saver.aget_tuple(config))
        if not asked.has_begun:
            given = {"run_id": row.run_id, "tenant_id": row.tenant_id, "event_id": row.event_id}
        elif row.sealed_answer is not None and asked.is_open(row.question_id):
            answer = self._cipher.open(row.sealed_answer, row.tenant_id, row.run_id, ANSWER, row.question_id)
            given = Command(resume={row.question_id: json.loads(answer)})
        RUN.set(row.run_id)
        context = Mesh(self._edge, row.run_id, row.workflow, row.tenant_id, row.event_id)
        # LangGraph counts from the newest checkpoint, and takes no limit below 1; then the saver keeps the bound.
        config["recursion_limit"] = max(MAX_STEPS - 2 - asked.steps, 1)
        try:
            result = await graph.ainvoke(given, config, context=context, durability="sync")
        except GraphRecursionError as exc:
            raise TooManySteps from exc
        questions = result.get("__interrupt__", ()) if isinstance(result, dict) else ()
        return self._question(row, questions, Asked(await saver.aget_tuple(config))) if questions else None

    def question(self, row: RunRow) -> str:
        """Open the question of a waiting run: JSON, empty without one."""
        if row.sealed_question is None:
            return ""
        return self._cipher.open(row.sealed_question, row.tenant_id, row.run_id, QUESTION, row.question_id).decode()

    def seal_answer(self, row: RunRow, answer: str) -> bytes:
        """Seal the answer to the question of a run."""
        return self._cipher.seal(answer.encode(), row.tenant_id, row.run_id, ANSWER, row.question_id)

    def _question(self, row: RunRow, questions: "Sequence[Interrupt]", asked: Asked) -> Question:
        first = questions[0]
        if not asked.is_open(first.id):
            raise AskedTwice
        try:
            content = json.dumps(first.value, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError) as exc:
            raise QuestionInvalid from exc
        if len(content) > MAX_QUESTION_BYTES:
            raise QuestionInvalid
        return Question(first.id, self._cipher.seal(content, row.tenant_id, row.run_id, QUESTION, first.id))
