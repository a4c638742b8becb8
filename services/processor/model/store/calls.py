"""The entries of calls: each is stored before its text is sent. None has a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from mailmesh.processor.v1 import model_service_pb2 as pb2
from services.meshkit import db
from services.processor.erased_requests import make_secret

_COLUMNS = (
    "call_id, asked_at, key_id, operation, model, is_outside, prompt_version, digest, state, reason, label, tokens"
)


class State(IntEnum):
    """The states of a call; the numbers are those of the contract and of the table."""

    ASKED = pb2.MODEL_CALL_STATE_ASKED
    ANSWERED = pb2.MODEL_CALL_STATE_ANSWERED
    FAILED = pb2.MODEL_CALL_STATE_FAILED


@dataclass(frozen=True)
class NewCall:
    """A call before its text is sent.

    Args:
        tenant_id: The tenant.
        call_id: The call's UUID.
        asked_at: The time.
        key_id: The caller's API key.
        operation: "classify" or "extract".
        model: The name of the model.
        is_outside: Whether the text leaves the machine.
        prompt_version: The version of the instructions.
        digest: The SHA-256 of the request.
        tokens: The reserved tokens.
    """

    tenant_id: str
    call_id: str
    asked_at: datetime
    key_id: str
    operation: str
    model: str
    is_outside: bool
    prompt_version: str
    digest: bytes
    tokens: int


async def add(connection: db.Connection, call: NewCall) -> None:
    """Store the entry of a call, with a keyed digest: who reads the entry alone can check no guess of the text."""
    await make_secret(connection, call.tenant_id)
    await connection.execute(
        """
        INSERT INTO processor.model_calls (tenant_id, call_id, asked_at, key_id, operation, model, is_outside,
            prompt_version, digest, tokens, state, reason, label)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, processor.erased_digest($1, $9), $10, $11, '', '')
        """,
        call.tenant_id,
        call.call_id,
        call.asked_at,
        call.key_id,
        call.operation,
        call.model,
        call.is_outside,
        call.prompt_version,
        call.digest,
        call.tokens,
        State.ASKED.value,
    )


async def end(
    connection: db.Connection, tenant_id: str, call_id: str, state: State, *, tokens: int, reason: str, label: str
) -> None:
    """Store the outcome of a call."""
    await connection.execute(
        """
        UPDATE processor.model_calls SET state = $3, tokens = $4, reason = $5, label = $6
        WHERE tenant_id = $1 AND call_id = $2
        """,
        tenant_id,
        call_id,
        state.value,
        tokens,
        reason,
        label,
    )


async def page(connection: db.Connection, tenant_id: str, before: str | None, limit: int) -> Sequence[pb2.ModelCall]:
    """Return calls of a tenant, newest first, from behind a call's id."""
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS} FROM processor.model_calls
        WHERE tenant_id = $1 AND ($2::uuid IS NULL OR call_id < $2) ORDER BY call_id DESC LIMIT $3
        """,  # noqa: S608 - constants
        tenant_id,
        before,
        limit,
    )
    return [_message(row) for row in rows]


async def delete_old(connection: db.Connection, before: datetime, limit: int) -> int:
    """Delete entries from before a time, a bounded number at once; return their number."""
    status = await connection.execute(
        """
        DELETE FROM processor.model_calls WHERE (tenant_id, call_id) IN (
            SELECT tenant_id, call_id FROM processor.model_calls WHERE asked_at < $1 ORDER BY asked_at LIMIT $2
        )
        """,
        before,
        limit,
    )
    return db.affected(status)


def _message(row: Any) -> pb2.ModelCall:
    values = dict(row)
    asked_at = values.pop("asked_at")
    made = pb2.ModelCall(call_id=str(values.pop("call_id")), digest=bytes(values.pop("digest")).hex(), **values)
    made.asked_at.FromDatetime(asked_at)
    return made
