"""DeadLetterService: lists, counts and retries items that could not be processed."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from typing_extensions import override

from mailmesh.ingest.v1 import dead_letter_service_pb2 as pb2
from mailmesh.ingest.v1.dead_letter_service_pb2_grpc import DeadLetterServiceServicer
from services.ingest.store import dead_letters
from services.ingest.store.dead_letters import Choice, Retried, Scope
from services.meshkit import db
from services.meshkit.deadlines import remaining
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import PageTokens, Position, is_row_id, page_size

Context = grpc.aio.ServicerContext[Any, Any]

_MAX_NAMED: Final = 1000
_MAX_REASONS: Final = 100
# No chunk begins when less than this is left of the deadline.
_RESERVE_SECONDS: Final = 3.0


class DeadLetterServicer(DeadLetterServiceServicer):
    """Lists, counts and retries dead letters.

    Args:
        pool: Connections to PostgreSQL.
        wake: Called with a tenant that has something due again.
    """

    def __init__(self, pool: db.Pool, wake: Callable[[str], None]) -> None:
        self._pool = pool
        self._wake = wake
        self._tokens = PageTokens(columns=(is_row_id,))

    @override
    async def ListDeadLetters(
        self, request: pb2.ListDeadLettersRequest, context: Context
    ) -> pb2.ListDeadLettersResponse:
        position, size = self._tokens.read(request), page_size(request.page_size)
        scope, choice = current_caller().tenants, _choice(request.filter)
        async with db.connection(self._pool) as connection:
            letters = await dead_letters.page(
                connection,
                scope,
                choice,
                includes_retried=request.include_retried,
                before_id=str(position[0]) if position else "",
                limit=size + 1,
            )
        end: Position | None = [letters[size - 1].dead_letter_id] if len(letters) > size else None
        return pb2.ListDeadLettersResponse(
            dead_letters=letters[:size], next_page_token=self._tokens.write(request, end)
        )

    @override
    async def CountDeadLetters(
        self, request: pb2.CountDeadLettersRequest, context: Context
    ) -> pb2.CountDeadLettersResponse:
        scope, choice = current_caller().tenants, _choice(request.filter)
        async with db.connection(self._pool) as connection:
            counts, total = await dead_letters.count_reasons(connection, scope, choice, limit=_MAX_REASONS)
        return pb2.CountDeadLettersResponse(counts=counts, total=total)

    @override
    async def RetryDeadLetters(
        self, request: pb2.RetryDeadLettersRequest, context: Context
    ) -> pb2.RetryDeadLettersResponse:
        scope = current_caller().tenants
        if request.dead_letter_ids and request.HasField("filter"):
            raise FieldInvalid.of("filter", "must not be given together with dead_letter_ids")
        if request.dead_letter_ids:
            return await self._retry_named(scope, _named(request.dead_letter_ids), is_dry=request.dry_run)
        if not request.HasField("filter"):
            raise FieldInvalid.of("filter", "is required without dead_letter_ids")
        if not (request.filter.ByteSize() or request.dry_run):
            raise FieldInvalid.of("filter", "must select something; `buried_from` 1970-01-01T00:00:00Z selects all")
        return await self._retry_chosen(scope, _choice(request.filter), is_dry=request.dry_run)

    async def _retry_named(self, scope: Scope, ids: Sequence[str], *, is_dry: bool) -> pb2.RetryDeadLettersResponse:
        async with db.connection(self._pool) as connection:
            await dead_letters.check(connection, scope, ids)
        if is_dry:
            return pb2.RetryDeadLettersResponse(matched=len(ids))
        retried = self._wake_all(await dead_letters.retry_named(self._pool, ids))
        return pb2.RetryDeadLettersResponse(matched=len(ids), retried=retried)

    async def _retry_chosen(self, scope: Scope, choice: Choice, *, is_dry: bool) -> pb2.RetryDeadLettersResponse:
        async with db.connection(self._pool) as connection:
            matched = await dead_letters.count(connection, scope, choice)
        retried = 0
        while not is_dry and _has_time():
            done = self._wake_all(await dead_letters.retry_chunk(self._pool, scope, choice))
            retried += done
            if not done or retried >= matched:
                break
        return pb2.RetryDeadLettersResponse(matched=matched, retried=retried)

    def _wake_all(self, retried: Retried) -> int:
        for tenant_id in retried.due_tenant_ids:
            self._wake(tenant_id)
        return retried.count


def _has_time() -> bool:
    """Return whether another chunk fits into the call's deadline; the response counts the chunks that did."""
    left = remaining()
    return left is None or left > _RESERVE_SECONDS


def _named(values: Sequence[str]) -> list[str]:
    if len(values) > _MAX_NAMED:
        raise FieldInvalid.of("dead_letter_ids", f"must not be more than {_MAX_NAMED}")
    return sorted({check_id(f"dead_letter_ids[{index}]", value) for index, value in enumerate(values)})


def _choice(chosen: pb2.DeadLetterFilter) -> Choice:
    return Choice(
        tenant_id=check_id("filter.tenant_id", chosen.tenant_id) if chosen.tenant_id else "",
        reason=chosen.reason,
        buried_from=_time("filter.buried_from", chosen.buried_from) if chosen.HasField("buried_from") else None,
        buried_before=_time("filter.buried_before", chosen.buried_before) if chosen.HasField("buried_before") else None,
    )


def _time(field: str, value: Timestamp) -> datetime:
    try:
        return value.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as exc:
        raise FieldInvalid.of(field, "is not a time") from exc
