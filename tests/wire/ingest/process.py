"""Ingest as a process of its own, and load on it that remembers what was acknowledged."""

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mailmesh.ingest.v1 import ingest_service_pb2 as ingest_pb2
from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from stack.certificates import MeshCertificates
from stack.ports import free_port
from stack.programs.program import Program
from stack.programs.running import RunningProgram
from tests.factories.ingest import Watched, graph_body, graph_item
from tests.wire.ingest.pushing import body_of


@dataclass
class IngestProcess:
    """A process of Ingest.

    Attributes:
        running: To kill and restart.
        port: Its mesh port.
    """

    running: RunningProgram
    port: int


@contextmanager
def ingest_process(
    certificates: MeshCertificates, database_url: str, folder: Path, **environment: str
) -> Iterator[IngestProcess]:
    """Runs Ingest as a process of its own while the block runs."""
    port = free_port()
    identity = certificates.identity("ingest")
    program = Program(
        name=f"ingest-{port}",
        command=(sys.executable, "-m", "services.ingest", "serve"),
        is_ready=lambda: _listens(port),
        environment={
            "MAILMESH_DATABASE_URL": database_url,
            "MAILMESH_LISTEN": f"127.0.0.1:{port}",
            "MAILMESH_TLS_CERT": str(identity.certificate),
            "MAILMESH_TLS_KEY": str(identity.key),
            "MAILMESH_TLS_CA": str(identity.authority),
            "MAILMESH_TOKEN_VAULT_ADDRESS": "127.0.0.1:1",
        }
        | environment,
    )
    running = RunningProgram(program, folder / f"{program.name}.log")
    try:
        running.wait_until_ready()
        yield IngestProcess(running, port)
    finally:
        running.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Fire:
    """Webhooks, one after the other from several sources, and the outcome of each."""

    watched: Sequence[Watched]
    clients: Any
    acknowledged: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    codes: Counter[str] = field(default_factory=Counter)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    async def push(self, message_id: str) -> None:
        """Pushes one notification."""
        one = self.watched[hash(message_id) % len(self.watched)]
        request = ingest_pb2.ReceiveGraphNotificationsRequest(payload=body_of(graph_body(graph_item(one, message_id))))
        try:
            await self.clients.webhooks.ReceiveGraphNotifications(request, timeout=10)
        except MeshError as exc:
            self.codes[exc.code] += 1
            self.refused.add(message_id)
            await asyncio.sleep(0.1)
        else:
            self.codes["OK"] += 1
            self.acknowledged.add(message_id)

    async def go_on(self) -> None:
        """Pushes until it is over."""
        while not self.is_over.is_set():
            await self.push(f"AAMk{new_id()}")

    async def until_acknowledged(self, more: int) -> None:
        """Waits until so many more were acknowledged."""
        wanted = len(self.acknowledged) + more
        async with asyncio.timeout(60):
            while len(self.acknowledged) < wanted:
                await asyncio.sleep(0.01)
