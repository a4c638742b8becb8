"""A question to the model within a tenant's rights and budget, with an entry that is stored before the text is sent."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.erasing import marked
from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from services.processor.errors import TenantNotFound
from services.processor.model.endpoint import ModelEndpoint, Spending
from services.processor.model.errors import ModelNotEnabled, ModelOutsideRefused, ModelTokensSpent
from services.processor.model.metrics import ASKED, TOKENS
from services.processor.model.prompts import PROMPT_VERSION, Prompt
from services.processor.model.store import calls
from services.processor.model.store import settings as store
from services.processor.stream.store import tenants

logger = structlog.get_logger(__name__)

_T = TypeVar("_T")
_SCHEMA = "processor"


@dataclass(frozen=True)
class Asker:
    """The caller of a call.

    Args:
        tenant_id: The tenant that is named.
        scope: The tenants that the caller may see; None means all.
        key_id: The caller's API key.
    """

    tenant_id: str
    scope: list[str] | None
    key_id: str


@dataclass(frozen=True)
class Question:
    """A question of a caller.

    Args:
        asker: The caller.
        operation: "classify" or "extract".
        digest: The SHA-256 of the request.
        prompt: The question as the model gets it.
    """

    asker: Asker
    operation: str
    digest: bytes
    prompt: Prompt


class Asking:
    """Asks a model for tenants.

    Args:
        pool: Connections to PostgreSQL.
        endpoint: Asks the model.
        tokens_per_day: The tokens of each tenant on a day.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, endpoint: ModelEndpoint, tokens_per_day: int, clock: Clock) -> None:
        self._pool, self.endpoint, self._tokens_per_day, self._clock = pool, endpoint, tokens_per_day, clock

    async def admit(self, asker: Asker) -> None:
        """Check that a tenant's settings allow the model. A reservation checks them again.

        Raises:
            TenantNotFound: There is no such tenant in scope.
            ModelNotEnabled: The tenant's texts may not be sent to the model.
            ModelOutsideRefused: They may not leave this machine.
        """
        async with db.connection(self._pool) as connection:
            await check_tenant(connection, asker)
            self._admit(await store.read(connection, asker.tenant_id, self._clock.now().date()), asker.tenant_id)

    async def ask(self, question: Question, read: Callable[[str], _T], label_of: Callable[[_T], str]) -> tuple[_T, int]:
        """Store an entry, ask the model, and store the outcome; return the answer and its tokens.

        A call that its process or its caller ends leaves its entry as asked, and its reservation as spent.

        Args:
            question: The question.
            read: Reads the model's answer, or raises `AnswerInvalid`.
            label_of: Returns the label for the entry.

        Raises:
            MeshError: See `admit`, `ModelEndpoint.ask`; `ModelTokensSpent` when the question may cost too much.
        """
        reserved = question.prompt.most_tokens * self.endpoint.attempts
        call = self._entry(question, reserved)
        await self._reserve(call)
        spending = Spending()
        try:
            answer = await self.endpoint.ask(question.prompt, read, spending)
        except MeshError as exc:
            spent = spending.tokens if spending.is_exact else max(reserved, spending.tokens)
            await self._settle(call, calls.State.FAILED, spent, reason=exc.reason)
            raise
        await self._settle(call, calls.State.ANSWERED, spending.tokens, label=label_of(answer))
        return answer, spending.tokens

    def _entry(self, question: Question, reserved: int) -> calls.NewCall:
        address, asker = self.endpoint.address, question.asker
        return calls.NewCall(
            tenant_id=asker.tenant_id,
            call_id=new_id(),
            asked_at=self._clock.now(),
            key_id=asker.key_id,
            operation=question.operation,
            model=address.model,
            is_outside=address.is_outside,
            prompt_version=PROMPT_VERSION,
            digest=question.digest,
            tokens=reserved,
        )

    async def _reserve(self, call: calls.NewCall) -> None:
        """Commit the entry and its tokens, before anything is sent."""
        day = call.asked_at.date()
        async with db.transaction(self._pool) as connection:
            if call.tenant_id in await marked(connection, _SCHEMA, [call.tenant_id]):
                raise TenantNotFound.of(call.tenant_id)
            is_reserved = await store.reserve(
                connection, call.tenant_id, day, call.tokens, self._tokens_per_day, is_outside=call.is_outside
            )
            if not is_reserved:
                self._admit(await store.read(connection, call.tenant_id, day), call.tenant_id)
                raise ModelTokensSpent(
                    metadata={"tenant_id": call.tenant_id}, retry_after=_midnight(day) - call.asked_at
                )
            await calls.add(connection, call)

    def _admit(self, found: store.TenantModel, tenant_id: str) -> None:
        metadata = {"tenant_id": tenant_id}
        if not found.is_enabled:
            raise ModelNotEnabled(subject=tenant_id, metadata=metadata)
        if self.endpoint.address.is_outside and not found.may_leave_machine:
            raise ModelOutsideRefused(subject=tenant_id, metadata=metadata)

    async def _settle(
        self, call: calls.NewCall, state: calls.State, spent: int, *, reason: str = "", label: str = ""
    ) -> None:
        async with db.transaction(self._pool) as connection:
            await store.settle(connection, call.tenant_id, call.asked_at.date(), call.tokens, spent)
            await calls.end(connection, call.tenant_id, call.call_id, state, tokens=spent, reason=reason, label=label)
        ASKED.labels(call.operation, reason or "answered").inc()
        TOKENS.inc(spent)
        logger.info(
            "model asked",
            tenant_id=call.tenant_id,
            key_id=call.key_id,
            call_id=call.call_id,
            operation=call.operation,
            model=call.model,
            tokens=spent,
            error=reason,
        )


def _midnight(day: date) -> datetime:
    """Return the end of a day, UTC."""
    return datetime.combine(day + timedelta(days=1), time(), UTC)


async def check_tenant(connection: db.Connection, asker: Asker) -> None:
    """Check that there is the tenant, and that the caller may see it. Raises `TenantNotFound`."""
    is_in_scope = asker.scope is None or asker.tenant_id in asker.scope
    if not is_in_scope or await tenants.granted(connection, asker.tenant_id) is None:
        raise TenantNotFound.of(asker.tenant_id)
