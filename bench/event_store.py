"""A PostgreSQL with Processor's schema, for measuring the stream of events."""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from mailmesh.mail.v1 import event_pb2
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.processor.migrate import migrations
from services.processor.stream.publish import EventDraft
from stack.programs.postgres import PostgresServer
from stack.programs.roles import (
    SERVICE_ROLES,
    create_database,
    prepare_database,
    prepare_roles,
    with_database,
    with_role,
)
from stack.programs.running import RunningProgram

SERVICE = "processor"


@asynccontextmanager
async def event_store(*, is_careless: bool) -> AsyncIterator[str]:
    """Run a server while the block runs; yield the address of a migrated database.

    Args:
        is_careless: Commits need not survive a crash: for filling the database quickly.
    """
    folder = Path(tempfile.mkdtemp(prefix="mmb-", dir="/tmp"))
    folder.chmod(0o711)
    server = PostgresServer(folder / "data", folder, folder / "password", is_careless)
    await asyncio.to_thread(server.initialize)
    running = RunningProgram(server.program(), folder / "postgres.log")
    try:
        await asyncio.to_thread(running.wait_until_ready)
        yield await _migrated(server)
    finally:
        await asyncio.to_thread(running.stop)
        shutil.rmtree(folder, ignore_errors=True)


async def _migrated(server: PostgresServer) -> str:
    password = secrets.token_urlsafe(16)
    await prepare_roles(server.url(), {SERVICE: password})
    await create_database(server.url(), SERVICE)
    database = with_database(server.url(), SERVICE)
    await prepare_database(database, [SERVICE])
    url = with_role(database, SERVICE_ROLES[SERVICE].role, password)
    await migrations(Secret(url)).upgrade()
    return url


def draft(tenant_id: str, text: str) -> EventDraft:
    """Return an event of a mail with a text, as the workers publish it."""
    event = event_pb2.NormalizedMailEvent(
        provider="ms365",
        tenant_id=tenant_id,
        external_tenant_id="6f1a0000-0000-4000-8000-000000000001",
        user_id="6f1a0000-0000-4000-8000-000000000002",
        event_type="mail.created",
        message_id=f"AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A{secrets.token_hex(8)}",
        correlation_id=new_id(),
        generation=1,
        version=secrets.token_hex(8),
        is_enriched=True,
        source=event_pb2.EVENT_SOURCE_NOTIFICATION,
    )
    event.received_at.FromDatetime(datetime.now(UTC))
    event.message.subject = "Delivery on Monday"
    event.message.from_address.address, event.message.from_address.name = "ben@fabrikam.example", "Ben Okafor"
    event.message.to.add(address="anna@contoso.example", name="Anna Lindqvist")
    event.message.body.text = text
    event.message.body.html = f"<p>{text}</p>"
    for number in range(20):
        event.message.headers.add(name=f"X-Header-{number}", value=secrets.token_hex(20))
    event.raw.update({"id": event.message_id, "subject": event.message.subject, "body": {"content": text}})
    return EventDraft(mail=event)
