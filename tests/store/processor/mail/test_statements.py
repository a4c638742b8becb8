"""A mail of a Google mailbox takes no transaction of several statements: its cursor is written with it."""

from typing import Any

import asyncpg
import pytest

from services.processor.worker import running
from tests.store.processor.ground import Ground

EVENT, CURSOR, LOCK = "take_positions", "history_claim = $", "FOR NO KEY UPDATE"


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements with arguments that this process has sent."""
    found: list[str] = []
    execute = asyncpg.Connection._execute

    async def noted(self: Any, query: str, *rest: Any, **more: Any) -> Any:
        found.append(query)
        return await execute(self, query, *rest, **more)

    monkeypatch.setattr(asyncpg.Connection, "_execute", noted)
    return found


async def test_the_cursor_of_a_google_mailbox_is_written_with_its_mail(ground: Ground, statements: list[str]) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    async with running(ground.worker_settings()):
        await ground.settled()
        statements.clear()
        await ground.control.deliver(tenant.address, subject="One")
        await ground.push_present(tenant)
        await ground.settled()
    events = [query for query in statements if EVENT in query]
    locks = [query for query in statements if LOCK in query and "processor.mailboxes" in query and "fence" in query]

    assert ["mail.created"] == await ground.types(tenant)
    assert [True] == [CURSOR in query for query in events]
    assert [] == locks
