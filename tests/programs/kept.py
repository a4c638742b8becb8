"""The part of the mesh that keeps subscriptions alive: TokenVault, two processes of Ingest, the edge, the providers.

All are the real programs, called through the real Envoy, on a real PostgreSQL. There is no Processor, so the items that
Ingest puts into the inbox stay there, and tests can read them.
"""

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx
import pytest

from mailmesh.ingest.v1.inbox_item_pb2 import MailboxWatched, Reconcile
from stack.blocking import run_blocking
from stack.browser import Browser
from stack.certificates import MeshCertificates
from stack.ports import free_ports
from stack.programs.envoy import EnvoyServer
from stack.programs.program import Program
from stack.programs.running import RunningProgram
from stack.simulated import SimulatorControl
from tests.programs.kept_programs import edge_program, mesh_service, mesh_variables
from tests.programs.postgres import PostgresProgram
from tests.programs.simulator import running_simulator
from tests.programs.vault import new_keys
from tests.programs.waiting import pause_seconds

Result = TypeVar("Result")
WAIT_SECONDS = 90.0
POLL_SECONDS = 0.05
HEALTHY_SECONDS = 60.0
DOMAINS = {"ms365": "contoso.test", "googlews": "fabrikam.test"}
_numbers = itertools.count(1)


def until(ask: Callable[[], Result], timeout_seconds: float = WAIT_SECONDS) -> Result:
    """Asks again and again until the answer is true, and returns it."""
    began = time.monotonic()
    while not (answer := ask()):
        waited = time.monotonic() - began
        assert waited < timeout_seconds, f"not in {timeout_seconds:g} s; last answer {answer!r}"
        time.sleep(pause_seconds(waited, POLL_SECONDS))
    return answer


@dataclass(frozen=True)
class Connected:
    """An account that is connected."""

    tenant_id: str
    address: str
    provider: str


@dataclass
class Kept:
    """The programs, and the actions of tests on them.

    Attributes:
        api: The edge, with an admin key.
        simulator: The providers' control.
        ingests: The processes of Ingest.
        database_url: Ingest's database, for the superuser.
        vault_database_url: TokenVault's database, for the superuser.
        authority: The certificate authority of the providers.
        edge: Envoy.
        logs: The folder of the programs' logs.
        accounts: Numbers for new accounts.
    """

    api: httpx.Client
    simulator: SimulatorControl
    ingests: list[RunningProgram]
    database_url: str
    vault_database_url: str
    authority: Path
    edge: EnvoyServer
    logs: Path
    accounts: Iterator[int] = field(default_factory=lambda: _numbers)

    def connect(self, provider: str) -> Connected:
        """Connects a new account of its own through the consent pages."""
        address = f"sub{next(self.accounts)}@{DOMAINS[provider]}"
        self.simulator.add_account(provider, address)
        return self.consent(Connected("", address, provider))

    def consent(self, account: Connected) -> Connected:
        """Connects an account, or connects it again."""
        asked = {"tenantId": account.tenant_id} if account.tenant_id else {"provider": account.provider}
        started = self.post("/v1/tenants:startAuthorization", **asked, loginHint=account.address)
        with Browser(self.authority) as browser:
            page = browser.consent(started["authorizationUrl"], account.address)
        found = self.get(f"/v1/tenants?address={account.address}")["tenants"]
        assert len(found) == 1, page
        return Connected(found[0]["tenantId"], account.address, account.provider)

    def get(self, path: str) -> Any:
        """Reads from the edge; it must succeed."""
        return _good(self.api.get(path))

    def post(self, path: str, **body: Any) -> Any:
        """Posts to the edge; it must succeed."""
        return _good(self.api.post(path, json=body))

    def subscribe(self, account: Connected, **body: Any) -> dict[str, Any]:
        """Subscribes; it must succeed."""
        made: dict[str, Any] = self.post("/v1/subscriptions", tenantId=account.tenant_id, **body)["subscription"]
        return made

    def subscription(self, subscription_id: str) -> dict[str, Any]:
        """Reads a subscription."""
        found: dict[str, Any] = self.get(f"/v1/subscriptions/{subscription_id}")["subscription"]
        return found

    def state(self, subscription_id: str) -> str:
        """The state of a subscription, without prefix."""
        return str(self.subscription(subscription_id)["state"]).removeprefix("SUBSCRIPTION_STATE_")

    def tenant(self, account: Connected) -> dict[str, Any]:
        """Reads a tenant."""
        found: dict[str, Any] = self.get(f"/v1/tenants/{account.tenant_id}")["tenant"]
        return found

    def at_graph(self, account: Connected) -> list[dict[str, Any]]:
        """Graph's living subscriptions of an account."""
        found: list[dict[str, Any]] = self.simulator.call("GET", f"subscriptions?account={account.address}")
        return found

    def at_gmail(self, account: Connected) -> dict[str, Any] | None:
        """Gmail's living watch of an account."""
        return next(
            (watch for watch in self.simulator.call("GET", "watches") if watch["account"] == account.address), None
        )

    def calls(self, account: Connected, endpoint: str) -> int:
        """How many calls of an endpoint there were in an account's name."""
        path = f"calls/counts?endpoint={endpoint}&account={account.address}"
        return int(self.simulator.call("GET", path)["total"])

    def fault(self, account: Connected, kind: str, endpoint: str, **more: Any) -> int:
        """Injects a fault for an account."""
        return self.simulator.fault(kind=kind, endpoint=endpoint, account=account.address, **more)

    def sql(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Asks Ingest's database as its superuser."""
        return run_blocking(_fetch(self.database_url, statement, values))

    def expire_token(self, account: Connected) -> None:
        """The provider refuses the token at hand, which is old enough that TokenVault gets another."""
        self.simulator.call("POST", "expire-access-tokens", account=account.address)
        statement = "UPDATE vault.tenant_tokens SET last_refreshed_at = now() - interval '1 hour' WHERE tenant_id = $1"
        run_blocking(_fetch(self.vault_database_url, statement, (account.tenant_id,)))

    def make_due(self, subscription_id: str) -> None:
        """Makes its next step due now, as when the time has come."""
        self.sql(
            "UPDATE ingest.subscriptions SET renew_at = now(), lease_until = NULL WHERE subscription_id = $1",
            subscription_id,
        )

    def row(self, subscription_id: str) -> asyncpg.Record:
        """The subscription as it lies in the store."""
        (found,) = self.sql("SELECT * FROM ingest.subscriptions WHERE subscription_id = $1", subscription_id)
        return found

    def reconciles(self, account: Connected) -> set[int]:
        """The reasons of all comparisons that were put into the inbox."""
        items = self.sql("SELECT content FROM ingest.items WHERE tenant_id = $1 AND kind = 10", account.tenant_id)
        return {Reconcile.FromString(item["content"]).reason for item in items}

    def watched(self, account: Connected) -> list[MailboxWatched]:
        """The inbox items that announce new subscriptions."""
        items = self.sql(
            "SELECT content FROM ingest.items WHERE tenant_id = $1 AND kind = 9 ORDER BY item_id", account.tenant_id
        )
        return [MailboxWatched.FromString(item["content"]) for item in items]

    def empty_inbox(self, account: Connected) -> None:
        """Takes everything out of an account's inbox."""
        self.sql("DELETE FROM ingest.items WHERE tenant_id = $1", account.tenant_id)

    def admin_key(self, **scope: Any) -> str:
        """Makes another key."""
        return str(self.post("/v1/api-keys", displayName="test", role="ROLE_ADMIN", **scope)["secret"])

    def until_healthy(self, ingests: int = 2) -> None:
        """Waits until the edge has so many healthy processes of Ingest behind it, and TokenVault."""
        wanted = {"ingest": ingests, "token_vault": 1, "authorization": 1}
        until(lambda: all(self._healthy(name) == count for name, count in wanted.items()), HEALTHY_SECONDS)

    def _healthy(self, cluster: str) -> int:
        told = self.edge.ask("/clusters?format=json")["cluster_statuses"]
        states = [host["health_status"] for one in told if one["name"] == cluster for host in one["host_statuses"]]
        return sum(state == {"eds_health_status": "HEALTHY"} for state in states)


def _good(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    return answer.json()


async def _fetch(url: str, statement: str, values: tuple[Any, ...]) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        found: list[asyncpg.Record] = await connection.fetch(statement, *values)
        return found
    finally:
        await connection.close()


@contextmanager
def running_kept(
    postgres: PostgresProgram, certificates: MeshCertificates, folder: Path, **ingest_settings: str
) -> Iterator[Kept]:
    """Runs the programs for the length of a block.

    Args:
        postgres: Where the databases are made.
        certificates: The mesh's identities.
        folder: For logs.
        ingest_settings: More variables for Ingest.
    """
    vault_port, first, second, processor, edge, edge_metrics, *metrics = free_ports(9)
    public = f"http://127.0.0.1:{edge}"
    with ExitStack() as stack:
        pushes = ("--push-endpoint", f"{public}/api/googlews/webhook")
        simulator = stack.enter_context(running_simulator(certificates.identity("simulator"), *pushes))
        databases = {service: postgres.migrated_database(service) for service in ("token_vault", "ingest")}
        told = simulator.settings | {
            "MAILMESH_PUBLIC_URL": public,
            "MAILMESH_PROVIDER_CA": str(simulator.ca_file),
            "MAILMESH_TOKEN_VAULT_ADDRESS": f"127.0.0.1:{vault_port}",
        }
        vault = mesh_variables(told, certificates, "token-vault", databases["token_vault"].url, vault_port, metrics[0])
        vault["MAILMESH_VAULT_KEYS"] = new_keys("k1")
        programs = [mesh_service(certificates, "token-vault", "token_vault", vault_port, vault)]
        for name, port, metrics_port in (("ingest-1", first, metrics[1]), ("ingest-2", second, metrics[2])):
            own = mesh_variables(told, certificates, "ingest", databases["ingest"].url, port, metrics_port)
            own |= {"MAILMESH_INGEST_SUBSCRIPTION_SECONDS": "0.2", **ingest_settings}
            programs.append(mesh_service(certificates, "ingest", "ingest", port, own, name))
        programs.append(
            edge_program(certificates, simulator, folder, (vault_port, first, second, processor, edge, edge_metrics))
        )
        started = [_started(stack, program, folder) for program in programs]
        for one in started:
            one.wait_until_ready()
        key = _admin_key(vault)
        api = stack.enter_context(
            httpx.Client(base_url=public, headers={"authorization": f"Bearer {key}"}, timeout=60, trust_env=False)
        )
        control = SimulatorControl(str(simulator.ready["controlUrl"]))
        kept = Kept(
            api,
            control,
            started[1:3],
            databases["ingest"].admin_url,
            databases["token_vault"].admin_url,
            simulator.ca_file,
            EnvoyServer(folder / "envoy.yaml"),
            folder,
        )
        kept.until_healthy()
        yield kept


def _started(stack: ExitStack, program: Program, folder: Path) -> RunningProgram:
    started = RunningProgram(program, folder / f"{program.name}.log")
    stack.callback(started.kill)
    return started


def _admin_key(environment: Mapping[str, str]) -> str:
    command = (sys.executable, "-m", "services.token_vault", "create-admin-key", "--name", "tests")
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()[-1]


@pytest.fixture(scope="session")
def kept(
    postgres: PostgresProgram, certificates: MeshCertificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kept]:
    """One for all tests of this process; each test has accounts of its own."""
    with running_kept(postgres, certificates, tmp_path_factory.mktemp("kept")) as started:
        yield started
