"""Today's migrations and stores read databases that the first release with a running stack has written.

`tests/data/upgrade/` has the three schemas as `pg_dump` wrote them: two accounts at simulated providers, their sealed
tokens and subscriptions, two API keys, six events, and a notification of each mailbox that no worker has fetched.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from mailmesh.processor.v1 import event_pb2
from services.ingest import migrate as ingest
from services.ingest.store import subscriptions
from services.ingest.store.claims import ClaimRequest, claim
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.migrations import Migrations
from services.meshkit.secret import Secret
from services.processor import migrate as processor
from services.processor.stream.filter import Selection
from services.processor.stream.pages import EventReader
from services.token_vault import migrate as token_vault
from services.token_vault.api_access.authenticate import ApiKeyAuthenticator
from services.token_vault.keys.keyring import read_keys
from services.token_vault.tokens.credential_reader import CredentialReader
from services.token_vault.tokens.token_cipher import TokenCipher
from tests.programs.postgres import PostgresProgram

DUMPS = Path(__file__).parent.parent / "data" / "upgrade"
TENANTS = ["01a21da1-919d-7262-8d05-264763f174f4", "01a21da1-9825-78a1-89c4-d1d7b9881283"]
KEYS = Secret("2026-11-27:lUY5FY29JTUYbpLPVxZKsH-K48PRwgAf0rlc_rdD6L4=")
API_KEY = "mm_3WEaQVH91t_NIA2dO5RmtQ2Nni9TuRBSyHiy2NJixna0pxr4OwrtJg"
CURSOR = "AYa_K0zUwwAGYUO_QZOjdTFch5svza3V"
MAILS = [
    "01a21da1-a9fa-7910-82a8-78ad2b80c42b", "01a21da1-ad9c-7f8d-ac1b-2b26ec52f7a7",
    "01a21da1-ad9d-701c-aacc-66f4d3cecefa", "01a21da1-adab-7201-8460-2530c4b40d19",
]  # fmt: skip
Upgraded = Callable[[str, str, Any], Any]


@pytest.fixture
def upgraded(postgres: PostgresProgram) -> Upgraded:
    """Give a pool of a database that was filled from a dump and then migrated: `upgraded(service, dump, module)`."""

    @asynccontextmanager
    async def open_upgraded(service: str, dump: str, module: Any) -> AsyncIterator[db.Pool]:
        database = postgres.empty_database(service)
        connection = await asyncpg.connect(database.url)
        await connection.execute((DUMPS / f"{dump}.sql").read_text())
        await connection.close()
        history: Migrations = module.migrations(Secret(database.url))
        before = await history.current()
        await history.upgrade()
        await module.SCHEMA.check(Secret(database.url))
        assert before
        async with db.open_pool(Secret(database.url), service) as pool:
            yield pool
        postgres.drop(database)

    return open_upgraded


async def test_an_upgrade_from_the_first_commit_that_runs_opens_sealed_tokens_and_api_keys(upgraded: Upgraded) -> None:
    cipher = TokenCipher(read_keys(KEYS, None), timedelta(minutes=5))
    async with upgraded("token_vault", "vault", token_vault) as pool:
        credentials = [await CredentialReader(pool).read(tenant_id) for tenant_id in TENANTS]
        key = await ApiKeyAuthenticator(pool, SystemClock(), timedelta(seconds=1)).authenticate(API_KEY)

    assert [("ms365", "active"), ("googlews", "active")] == [
        (one.tenant.provider, one.tenant.status) for one in credentials
    ]
    opened = [(cipher.access_token(one).reveal(), cipher.refresh_token(one).reveal()) for one in credentials]
    assert opened[1][0].startswith("ya29.")
    assert all(token for pair in opened for token in pair)
    assert (["01a21da1-919d-7262-8d05-264763f174f4"], "reader") == (sorted(key.tenant_ids), key.role)


async def test_an_upgrade_from_the_first_commit_that_runs_continues_notifications_and_subscriptions(
    upgraded: Upgraded,
) -> None:
    async with upgraded("ingest", "ingest", ingest) as pool:
        leases = await claim(pool, ClaimRequest("worker", max_items=10, max_tenants=10, lease_seconds=30), 5)
        async with db.connection(pool) as connection:
            pushed = await subscriptions.pushed_tenants(connection)

    assert sorted(TENANTS) == sorted(lease.tenant_id for lease in leases)
    assert [1, 1] == [len(lease.items) for lease in leases]
    assert sorted(TENANTS) == sorted(pushed)


async def test_an_upgrade_from_the_first_commit_that_runs_reads_events_and_cursors(upgraded: Upgraded) -> None:
    everything = Selection(None, None, None)
    async with upgraded("processor", "processor", processor) as pool:
        reader = EventReader(pool)
        full = event_pb2.EVENT_VIEW_FULL
        page = await reader.page(await reader.start("", "earliest"), everything, full, 100)
        rest = await reader.page(await reader.start(CURSOR, "earliest"), everything, full, 100)
        async with db.connection(pool) as connection:
            mailboxes = await connection.fetchval("SELECT count(*) FROM processor.mailboxes WHERE throttles = 0")

    mails = [event.mail for event in page.events if event.HasField("mail")]
    assert MAILS == [mail.event_id for mail in mails] == [event.mail.event_id for event in rest.events]
    assert {"Before 0", "Before 1"} == {mail.message.subject for mail in mails}
    assert all(mail.message.body.text and mail.raw for mail in mails)
    assert len(TENANTS) == mailboxes


async def test_an_upgrade_from_the_first_commit_that_is_killed_between_two_steps_continues(
    postgres: PostgresProgram,
) -> None:
    database = postgres.empty_database("processor")
    connection = await asyncpg.connect(database.url)
    await connection.execute((DUMPS / "processor.sql").read_text())
    command = (sys.executable, "-m", "services.processor", "migrate")
    environment = {**os.environ, "MAILMESH_DATABASE_URL": database.url}
    seen = {revision := await _revision(connection)}
    for _ in range(2):
        running = await asyncio.create_subprocess_exec(*command, env=environment)
        while revision in seen and running.returncode is None:
            revision = await _revision(connection)
        running.kill()
        await running.wait()
        seen.add(revision)
    await processor.migrations(Secret(database.url)).upgrade()
    count = await connection.fetchval("SELECT count(*) FROM processor.events")
    await connection.close()

    assert len(seen) == 3  # the first commit's, and one of each killed process
    await processor.SCHEMA.check(Secret(database.url))
    assert count >= len(MAILS)
    postgres.drop(database)


async def _revision(connection: "asyncpg.Connection[asyncpg.Record]") -> str:
    return str(await connection.fetchval("SELECT version_num FROM processor.alembic_version"))
