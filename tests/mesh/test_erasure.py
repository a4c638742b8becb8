"""The erasure of a tenant on the running mesh: nothing of it is left in any file, and others notice nothing."""

import base64
import json
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mailmesh.processor.v1 import event_service_pb2 as events
from mailmesh.processor.v1 import event_service_pb2_grpc as event_services
from stack.blocking import run_blocking
from stack.programs.postgres import PostgresServer
from stack.programs.roles import with_database
from tests.mesh.accounts import connect, created_events, in_a_week, new_address, subscribe, tenant_of
from tests.mesh.delivery.receiver import receiving
from tests.programs.mesh import Mesh, eventually
from tests.programs.standby import order

pytestmark = pytest.mark.timeout(400)
_RELATIONS = (
    "SELECT relfilenode::bigint, oid::regclass::text FROM pg_class WHERE relfilenode = ANY($1::bigint[]::oid[])"
)
_KEEPERS = """
SELECT application_name, state, xact_start::text, query FROM pg_stat_activity
WHERE backend_xmin IS NOT NULL OR backend_xid IS NOT NULL ORDER BY xact_start LIMIT 5
"""
SERVICES = ("delivery", "ingest", "processor", "token-vault", "workflows")


class Account:
    """An account whose every text is a canary.

    Args:
        mesh: The running mesh.
        provider: Its provider.
        word: The word that is in each of its texts.
        abilities: Those that it grants.
    """

    def __init__(
        self, mesh: Mesh, provider: str, word: str, abilities: Sequence[str] = ("mail.read", "mail.send")
    ) -> None:
        self.word = word
        self.address = new_address(mesh, provider)
        self.tenant = connect(mesh, provider, self.address, abilities)
        assert mesh.run("tenants", "rename", self.tenant, f"Name {word}").returncode == 0
        subscribe(mesh, self.tenant)

    @property
    def canaries(self) -> list[bytes]:
        """The patterns that no file may have after the erasure."""
        return [re.escape(self.word.encode()), re.escape(self.address.encode())]

    def fill(self, mesh: Mesh) -> None:
        """Let the account receive and send mail, until the mesh has everything."""
        for number in range(3):
            mesh.simulator.deliver(
                self.address,
                **{"from": f"{self.word}-{number}@example.test", "to": [self.address]},
                subject=f"Subject {self.word}",
                text=f"Text {self.word}",
            )
        words = ("--to", f"{self.word}@example.test", "--subject", f"Sent {self.word}", "--text", f"Mail {self.word}")
        sent = mesh.run("send", "--tenant", self.tenant, *words, "--at", in_a_week())
        assert sent.returncode == 0, sent.stderr
        eventually(lambda: len(created_events(mesh, self.tenant)) >= 3)
        assert mesh.run("search-settings", "enable", self.tenant).returncode == 0
        eventually(
            lambda: mesh.run("search", self.word, "--tenant", self.tenant, "--json").stdout.count('"eventId"') >= 3
        )


def files_with(mesh: Mesh, canaries: Sequence[bytes]) -> list[str]:
    """List the files of the data directory that have one of the canaries, but for the simulated providers' own."""
    found = []
    for path in sorted(mesh.data.rglob("*")):
        if path.is_file() and not path.name.startswith("simulator"):
            content = _content(path)
            found += [str(path.relative_to(mesh.data)) for canary in canaries if re.search(canary, content)]
    return found


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # PostgreSQL and Redis remove files at any time
        return b""


def operate(mesh: Mesh, *statements: str) -> None:
    """Execute statements as the operator, each in a transaction of its own."""
    server = PostgresServer(mesh.data / "postgres", mesh.ready.supervisor.parent, mesh.data / "postgres.password")
    url = with_database(server.url(), "mailmesh")
    for statement in statements:
        run_blocking(order(url, statement))


def rewrite(mesh: Mesh) -> None:
    """Rewrite all tables without their dead rows, and end the write-ahead log that had them.

    Other tests share the mesh: they find its settings as before. No test runs beside this one, and the mesh's own
    loops wait for the tables and go on.
    """
    try:
        operate(mesh, "ALTER SYSTEM SET wal_recycle = off", "SELECT pg_reload_conf()", "VACUUM FULL")
        operate(mesh, "SELECT pg_switch_wal()", "CHECKPOINT", "SELECT pg_switch_wal()", "CHECKPOINT")
    finally:
        operate(mesh, "ALTER SYSTEM RESET wal_recycle", "SELECT pg_reload_conf()")


def expect_forgotten(mesh: Mesh, canaries: Sequence[bytes]) -> None:
    """Rewrite all tables until no file has one of the canaries: a row that an older transaction sees stays once.

    Raises:
        AssertionError: Files still have it after two minutes; names them.
    """
    left = [""]

    def is_forgotten() -> bool:
        rewrite(mesh)
        left[:] = files_with(mesh, canaries)
        return not left

    try:
        eventually(is_forgotten)
    except AssertionError as late:
        raise AssertionError(f"files still have what was erased: {_explained(mesh, left)}") from late


def _explained(mesh: Mesh, files: Sequence[str]) -> str:
    """Name the relations of files, and the transactions that keep dead rows."""
    server = PostgresServer(mesh.data / "postgres", mesh.ready.supervisor.parent, mesh.data / "postgres.password")
    nodes = [int(node) for file in files if (node := Path(file).name.split(".")[0]).isdigit()]

    async def ask() -> str:
        connection = await asyncpg.connect(with_database(server.url(), "mailmesh"))
        try:
            names = await connection.fetch(_RELATIONS, nodes)
            keepers = await connection.fetch(_KEEPERS)
        finally:
            await connection.close()
        return f"{files}; relations {[tuple(row) for row in names]}; kept for {[tuple(row) for row in keepers]}"

    return run_blocking(ask())


def verified(mesh: Mesh, erasure: dict[str, Any]) -> dict[str, Any]:
    """Check the signature of a report by the mesh's authority, and return the report."""
    certificate = x509.load_pem_x509_certificates(erasure["certificate"].encode())[0]
    authority = x509.load_pem_x509_certificate(mesh.ready.ca_file.read_bytes())
    certificate.verify_directly_issued_by(authority)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(base64.b64decode(erasure["signature"]), erasure["report"].encode(), ec.ECDSA(hashes.SHA256()))
    report: dict[str, Any] = json.loads(erasure["report"])
    return report


def cursor_at(mesh: Mesh, event_id: str) -> str:
    """Return the cursor of a reader who has read up to an event."""
    stub = event_services.EventServiceStub(mesh.channel)
    return stub.GetEvent(events.GetEventRequest(event_id=event_id)).event.position


def test_an_erased_tenant_is_in_no_file_and_its_neighbour_notices_nothing(mesh: Mesh) -> None:
    mark = f"{time.time_ns():x}"
    erased, kept = Account(mesh, "ms365", f"canary{mark}a"), Account(mesh, "googlews", f"canary{mark}b")
    with receiving() as receiver:
        receiver.answer = lambda _content, _earlier: (503, {})
        made = mesh.run("endpoints", "create", receiver.url, "--event-type", "mail.*", "--view", "full", "--json")
        kept.fill(mesh)
        erased.fill(mesh)
        eventually(lambda: any(erased.word.encode() in one.body for one in receiver.webhooks))
        # A reader has read up to an event of the tenant that is erased.
        last = created_events(mesh, erased.tenant)[-1].mail.event_id
        cursor = cursor_at(mesh, last)
        operate(mesh, "CHECKPOINT")
        before = files_with(mesh, erased.canaries)
        done = mesh.run("tenants", "erase", erased.tenant, "--yes", "--json")
        assert done.returncode == 0, done.stderr
        endpoint_id = json.loads(made.stdout)["endpoint"]["endpointId"]
        assert mesh.run("endpoints", "delete", endpoint_id, "--yes").returncode == 0
    erasure = json.loads(done.stdout)
    report = verified(mesh, erasure)
    expect_forgotten(mesh, erased.canaries)

    assert any(name.startswith("postgres/base") for name in before)
    assert any(name.startswith("postgres/base") for name in files_with(mesh, kept.canaries))
    assert list(SERVICES) == list(report["removed"])
    assert {"messages", "events", "sends", "mailboxes", "search_settings"} <= report["removed"]["processor"].keys()
    assert report["removed"]["delivery"]["deliveries"] >= 3
    assert datetime.fromisoformat(report["backupsForgetAt"]) > datetime.now(UTC)
    _expect_the_neighbour_as_before(mesh, kept, cursor)
    _expect_the_tenant_gone(mesh, erased)


def _expect_the_neighbour_as_before(mesh: Mesh, kept: Account, cursor: str) -> None:
    assert kept.address == tenant_of(mesh, kept.tenant).address
    stub = event_services.EventServiceStub(mesh.channel)
    mesh.simulator.generate(kept.address, 1)
    eventually(lambda: len(created_events(mesh, kept.tenant)) >= 4)
    request = events.ListEventsRequest(cursor=cursor, page_size=1000)
    following = stub.ListEvents(request).events
    assert created_events(mesh, kept.tenant)[-1].mail.event_id in {event.mail.event_id for event in following}


def _expect_the_tenant_gone(mesh: Mesh, erased: Account) -> None:
    gone = mesh.run("tenants", "get", erased.tenant)
    assert (3, True) == (gone.returncode, "TENANT_NOT_FOUND" in gone.stderr)
    assert "erased" in mesh.run("tenants", "erasure", erased.tenant).stdout
    assert [] == created_events(mesh, erased.tenant)
    again = connect(mesh, "ms365", erased.address)
    assert again != erased.tenant
