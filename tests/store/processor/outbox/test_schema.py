"""The release before finds no send that it would send as another mail than the one that was asked for."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.processor.migrate import migrations
from services.processor.outbox.rows import State
from services.processor.outbox.store import sends
from tests.programs.postgres import PostgresProgram

ADA = pb2.Recipient(address="ada@example.com")
MAIL = pb2.NewMail(to=[ADA], subject="Offer", text="Thirty euros.")
REQUESTS = {
    "plain": pb2.SendRequest(mail=MAIL),
    "draft": pb2.SendRequest(mail=MAIL, is_draft_only=True),
    "answer": pb2.SendRequest(reply=pb2.Reply(message_id="m", text="Yes.")),
    "forward": pb2.SendRequest(forward=pb2.Forward(message_id="m", to=[ADA])),
    "sender": pb2.SendRequest(mail=MAIL, from_address=ADA),
    "header": pb2.SendRequest(mail=MAIL, headers=[pb2.MailHeader(name="X-Order", value="17")]),
    "attachment": pb2.SendRequest(mail=MAIL, attachments=[pb2.SendAttachment(upload_id="u")]),
}


def row_of(key: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "send_id": new_id(), "tenant_id": new_id(), "idempotency_key": key, "digest": b"", "provider": "googlews",
        "content": REQUESTS[key], "state": State.QUEUED, "correlation_id": new_id(), "send_at": None, "due_at": now,
        "deadline_at": now, "key_id": None,
    }  # fmt: skip


@pytest.mark.timeout(120)
async def test_going_back_keeps_the_sends_that_the_release_before_knows(postgres: PostgresProgram) -> None:
    made = postgres.empty_database("processor")
    history = migrations(Secret(made.url))
    await history.upgrade()
    async with open_pool(Secret(made.url), "test", DatabaseLimits(connections=2)) as pool:
        async with db.connection(pool) as connection:
            for key in REQUESTS:
                assert await sends.insert(connection, row_of(key)) is not None
        await history.downgrade("0005")
        async with db.connection(pool) as connection:
            left = await connection.fetch("SELECT idempotency_key FROM processor.sends")
    postgres.drop(made)

    assert ["plain"] == [row["idempotency_key"] for row in left]
