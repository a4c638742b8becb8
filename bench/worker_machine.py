"""Real programs for measuring the worker: a PostgreSQL with durable commits, Redis, inbox, simulated providers."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import psutil

from mailmesh.vault.v1 import tenant_pb2
from services.ingest.store.items import Kind, NewItem, accept_in_transaction
from services.meshkit import db
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.processor.mailbox.provider_http import ProviderHttp
from stack.certificates import MeshCertificates
from tests.programs.postgres import PostgresProgram, start_postgres
from tests.programs.redis import RedisProgram, start_redis
from tests.programs.simulator import RunningSimulator, running_simulator
from tests.store.processor.ground import Ground, standing

_ITEMS_AT_ONCE = 500


class WorkerMachine:
    """The running programs.

    Args:
        ground: Inbox, tokens, providers, databases.
        postgres: The database server.
        redis: The queue.
        simulator: The providers.
        folder: The folder for logs.
    """

    def __init__(
        self, ground: Ground, postgres: PostgresProgram, redis: RedisProgram, simulator: RunningSimulator, folder: Path
    ) -> None:
        self.ground = ground
        self.postgres = postgres
        self.redis = redis
        self.simulator = simulator
        self.folder = folder

    async def tenants(self, count: int) -> list[tenant_pb2.Tenant]:
        """Add Microsoft tenants, each with a subscription to its inbox."""
        return [await self.ground.tenant("ms365") for _ in range(count)]

    async def mails(
        self, tenants: Sequence[tenant_pb2.Tenant], each: int, seed: int = 1
    ) -> list[tuple[tenant_pb2.Tenant, str]]:
        """Deliver mails to each tenant and return pairs of tenant and mail id, the tenants in turn."""
        await self.ground.control.deliver_to_many([tenant.address for tenant in tenants], each, seed=seed)
        found = []
        for tenant in tenants:
            truth = await self.ground.control.truth(tenant.address)
            found.append([(tenant, mail["id"], mail["etag"]) for mail in truth["messages"]])
        self._etags = {mail_id: etag for mails in found for _, mail_id, etag in mails}
        await self._make_answers_ready(tenants)
        return [(mails[number][0], mails[number][1]) for number in range(len(found[0])) for mails in found]

    async def _make_answers_ready(self, tenants: Sequence[tenant_pb2.Tenant]) -> None:
        """Let the provider parse each mail before the measurement; it keeps the result."""
        settings = self.ground.worker_settings()
        url = f"{settings.ms365_graph_url}/me/messages"
        async with ProviderHttp.open(
            authority=settings.provider_ca, connections=1, timeout_seconds=60.0, max_bytes=2**24
        ) as http:
            for tenant in tenants:
                token = Secret((await self.ground.control.issue_tokens(tenant.address))["access_token"])
                await http.call("ms365", "list", "GET", url, token, params={"$select": "subject", "$top": "1000"})

    async def backlog(self, mails: Sequence[tuple[tenant_pb2.Tenant, str]]) -> None:
        """Put a notification for each mail into the inbox, none of them due until `release`."""
        await self.ground.ingest.execute("UPDATE ingest.mailboxes SET is_waiting = true")
        items = [_item(self.ground, tenant, mail_id, self._etags[mail_id]) for tenant, mail_id in mails]
        for begin in range(0, len(items), _ITEMS_AT_ONCE):
            async with db.transaction(self.ground.ingest) as connection:
                await accept_in_transaction(connection, items[begin : begin + _ITEMS_AT_ONCE])

    async def release(self) -> None:
        """Make the backlog due."""
        await self.ground.ingest.execute("UPDATE ingest.mailboxes SET is_waiting = false, next_due_at = now()")

    @contextmanager
    def worker(self, *command: str, **environment: str) -> Iterator[psutil.Process]:
        """Run a worker process, by default Processor's own, for the length of a block."""
        log = self.folder / "worker.log"
        variables = {**os.environ, **self.ground.worker_environment(lease_seconds=60), **environment}
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own programs
                command or (sys.executable, "-m", "services.processor", "work"),
                env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    async def is_up(self, count: int = 1) -> None:
        """Wait until so many workers have sent a heartbeat."""

        async def shown() -> bool:
            seen = "SELECT count(*) FROM processor.workers WHERE seen_at > now() - interval '10 seconds'"
            return int(await self.ground.processor.fetchval(seen)) >= count

        await self.ground.until(shown)


@asynccontextmanager
async def worker_machine() -> AsyncIterator[WorkerMachine]:
    """Start everything except the worker, and stop it after the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mm-bench-", dir="/tmp")))
        folder.chmod(0o711)
        certificates = MeshCertificates(folder / "certificates")
        certificates.ensure()
        postgres = await asyncio.to_thread(lambda: start_postgres(folder / "pg", is_careless=False))
        stack.callback(postgres.running.stop)
        redis = await asyncio.to_thread(start_redis, folder / "redis")
        stack.callback(redis.running.stop)
        simulator = stack.enter_context(running_simulator(certificates.identity("simulator")))
        ingest = await asyncio.to_thread(postgres.migrated_database, "ingest")
        processor = await asyncio.to_thread(postgres.migrated_database, "processor")
        async with standing(simulator, certificates, ingest, processor, redis.url()) as ground:
            yield WorkerMachine(ground, postgres, redis, simulator, folder)


def _item(ground: Ground, tenant: tenant_pb2.Tenant, mail_id: str, etag: str) -> NewItem:
    content = ground.notification("created", {"id": mail_id, "etag": etag})
    return NewItem(new_id(), tenant.tenant_id, Kind.MAIL, content, ground.now(), new_id(), correlation_id=new_id())
