"""Real programs for measuring Ingest: PostgreSQL, Redis, Ingest, Envoy before it, and the plain design."""

import asyncio
import itertools
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg
import psutil

from bench.load import Outcome, Plan
from gateway.render import render
from gateway.settings import EdgeSettings
from services.meshkit.settings import load
from stack.certificates import MeshCertificates
from stack.ports import free_ports
from stack.programs.envoy import EnvoyServer
from stack.programs.postgres import PostgresServer
from stack.programs.program import Program
from stack.programs.redis import RedisServer
from stack.programs.roles import create_database, prepare_database, prepare_roles, with_database, with_role
from stack.programs.running import RunningProgram, run_to_end
from tests.factories.ingest import Watched, add_watched, graph_body, graph_item

PATH = "/api/ms365/webhook"
MESSAGE_ID = "@MESSAGE-ID-GOES-HERE-32-LETTERS"
RATE_WITHOUT_BOUND = 1_000_000
# Tenants in the form in which the follower of TokenVault stores them, each with an active subscription of its own.
STRANGERS = (
    """
    INSERT INTO ingest.tenants (tenant_id, provider, external_tenant_id, user_id, address, status)
    SELECT gen_random_uuid(), 'ms365', 'external-' || number, 'user-' || number, 'stranger' || number || '@example.com',
        1
    FROM generate_series(1, {rows}) AS number
    """,
    """
    INSERT INTO ingest.mailboxes (tenant_id, is_waiting)
    SELECT tenant_id, false FROM ingest.tenants WHERE address LIKE 'stranger%'
    """,
    """
    INSERT INTO ingest.subscriptions (subscription_id, tenant_id, provider, state, folder_id, change_types, watched,
        delivery_mode, provider_subscription_id, client_state_digest, covered_from)
    SELECT gen_random_uuid(), tenant_id, 'ms365', 2, 'inbox', '{{created,deleted,updated}}', 'folder:' || tenant_id, 1,
        gen_random_uuid()::text, sha256(tenant_id::text::bytea), now()
    FROM ingest.tenants WHERE address LIKE 'stranger%'
    """,
    "ANALYZE ingest.tenants",
    "ANALYZE ingest.mailboxes",
    "ANALYZE ingest.subscriptions",
)


@dataclass
class Machine:
    """The running programs.

    Attributes:
        edge_port: The port of Envoy, in front of Ingest.
        plain_port: The port of the plain design.
        database_url: The database's address for Ingest's role.
        watched: The subscriptions that notifications name.
        ingests: The processes of Ingest.
        redis_url: The address of the queue.
        spenders: The process ids of each design, by its port. Both include PostgreSQL and Redis.
        folder: The folder for plans and logs.
    """

    edge_port: int
    plain_port: int
    database_url: str
    watched: Sequence[Watched]
    ingests: Sequence[RunningProgram]
    redis_url: str
    spenders: Mapping[int, Sequence[int]]
    folder: Path

    def bodies(self, per_post: int) -> list[str]:
        """Return bodies with so many notifications, of as many tenants, for the load to send in turn."""
        made = []
        for start in range(0, len(self.watched), per_post):
            some = itertools.islice(itertools.cycle(self.watched), start, start + per_post)
            made.append(graph_body(*(graph_item(one, MESSAGE_ID) for one in some)).decode())
        return made

    @property
    def ingest(self) -> psutil.Process:
        """Return the first of Ingest's processes: the child of the one that ends with this process."""
        process = psutil.Process(self.ingests[0].pid)
        return next(iter(process.children()), process)

    async def send(
        self, port: int, per_post: int, seconds: float, *, connections: int = 64, per_second: float = 0.0
    ) -> Outcome:
        """Send load from a process of its own and return its outcome."""
        bodies = self.bodies(per_post)
        plan = Plan(port, PATH, bodies, connections, seconds, per_second, secrets.token_hex(3)[:5])
        file = self.folder / f"plan-{secrets.token_hex(4)}.json"
        file.write_text(json.dumps(asdict(plan)))
        written = file.with_suffix(".outcome.json")
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.load", str(file), str(written))
        if await process.wait():
            raise RuntimeError("the load did not end well")
        return Outcome(**json.loads(written.read_text()))

    async def query(self, statement: str) -> int:
        """Read a number from the database."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return int(await connection.fetchval(statement))
        finally:
            await connection.close()


@asynccontextmanager
async def machine(
    tenants: int = 100, *, is_plain: bool = True, processes: int = 1, strangers: int = 0
) -> AsyncIterator[Machine]:
    """Start everything; end it after the block.

    Args:
        tenants: The number of tenants, each with one subscription.
        is_plain: Whether to start the plain design too.
        processes: The number of Ingest's processes, behind the same edge.
        strangers: The number of further tenants, each with a subscription that no notification concerns.
    """
    folder = Path(tempfile.mkdtemp(prefix="mb-", dir="/tmp"))
    folder.chmod(0o711)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres, url, admin_url = await _postgres(stack, folder)
        redis = RedisServer.prepare(folder / "redis", free_ports(1)[0])
        shared = [postgres.pid, _start(stack, folder, redis.program()).pid]
        run_to_end(_ingest_program("migrate", {"MAILMESH_DATABASE_URL": url}, 0), folder / "migrate.log", 60)
        watched = await _watched(url, tenants)
        await _add_strangers(url, strangers)
        made = await _serving(stack, folder, url, redis.url(), watched, processes, shared)
        if is_plain:
            plain = _start(stack, folder, _plain_program(admin_url, redis.url(), made.plain_port))
            made.spenders = {**made.spenders, made.plain_port: [*shared, plain.pid]}
        yield made


async def _serving(
    stack: ExitStack,
    folder: Path,
    url: str,
    redis_url: str,
    watched: Sequence[Watched],
    processes: int,
    shared: Sequence[int],
) -> Machine:
    edge_port, metrics_port, plain_port, *absent = free_ports(5)
    ingest_ports = free_ports(processes)
    certificates = MeshCertificates(folder / "certificates")
    certificates.ensure()
    identity = certificates.identity("ingest")
    environment = {
        "MAILMESH_DATABASE_URL": url,
        "MAILMESH_REDIS_URL": redis_url,
        "MAILMESH_TLS_CERT": str(identity.certificate),
        "MAILMESH_TLS_KEY": str(identity.key),
        "MAILMESH_TLS_CA": str(identity.authority),
        "MAILMESH_TOKEN_VAULT_ADDRESS": f"127.0.0.1:{absent[0]}",
    }
    ingests = [
        _start(stack, folder, _ingest_program("serve", environment | {"MAILMESH_LISTEN": f"127.0.0.1:{port}"}, port))
        for port in ingest_ports
    ]
    envoy = certificates.identity("envoy")
    edge = load(
        EdgeSettings,
        listen=f"127.0.0.1:{edge_port}",
        metrics_listen=f"127.0.0.1:{metrics_port}",
        mesh_certificate=envoy.certificate,
        mesh_key=envoy.key,
        mesh_authority=envoy.authority,
        ingest=tuple(f"127.0.0.1:{port}" for port in ingest_ports),
        token_vault=(f"127.0.0.1:{absent[0]}",),
        processor=(f"127.0.0.1:{absent[1]}",),
        webhooks_per_second=RATE_WITHOUT_BOUND,
        webhooks_burst=RATE_WITHOUT_BOUND,
    )
    before = _start(stack, folder, EnvoyServer(render(edge, folder)).program())
    spenders = {edge_port: [*shared, before.pid, *(one.pid for one in ingests)]}
    made = Machine(edge_port, plain_port, url, watched, ingests, redis_url, spenders, folder)
    await _until_open(made)
    return made


async def _until_open(made: Machine) -> None:
    """Wait until Envoy has found Ingest healthy."""
    async with asyncio.timeout(30):
        while (await made.send(made.edge_port, 1, 0.05, connections=1)).statuses.keys().isdisjoint({"200", "202"}):
            await asyncio.sleep(0.2)


async def _postgres(stack: ExitStack, folder: Path) -> tuple[RunningProgram, str, str]:
    server = PostgresServer(folder / "pg", folder, folder / "password")
    server.initialize()
    running = _start(stack, folder, server.program())
    password = secrets.token_urlsafe(16)
    await prepare_roles(server.url(), {"ingest": password})
    await create_database(server.url(), "mailmesh")
    admin_url = with_database(server.url(), "mailmesh")
    await prepare_database(admin_url, ["ingest"])
    return running, with_role(admin_url, "mailmesh_ingest", password), admin_url


async def _add_strangers(url: str, count: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in STRANGERS if count else ():
            await connection.execute(statement.format(rows=count), timeout=600)
    finally:
        await connection.close()


async def _watched(url: str, tenants: int) -> list[Watched]:
    connection = await asyncpg.connect(url)
    try:
        return [await add_watched(connection) for _ in range(tenants)]
    finally:
        await connection.close()


def _ingest_program(command: str, environment: dict[str, str], port: int) -> Program:
    return Program(
        name=f"ingest-{command}-{port}",
        command=(sys.executable, "-m", "services.ingest", command),
        is_ready=lambda: _listens(port),
        environment={"MAILMESH_LOG_LEVEL": os.environ.get("BENCH_LOG_LEVEL", "info")} | environment,
    )


def _plain_program(url: str, redis_url: str, port: int) -> Program:
    return Program(
        name="plain",
        command=(
            sys.executable, "-m", "uvicorn", "bench.plain_ingest:app", "--port", str(port),
            "--loop", "uvloop", "--log-level", "warning",
        ),
        is_ready=lambda: _listens(port),
        environment={"DATABASE_URL": url, "REDIS_URL": redis_url},
    )  # fmt: skip


def _start(stack: ExitStack, folder: Path, program: Program) -> RunningProgram:
    running = RunningProgram(program, folder / f"{program.name}.log")
    stack.callback(running.stop)
    running.wait_until_ready()
    return running


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
