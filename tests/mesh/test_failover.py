"""The whole mesh while its database refuses, ends, only reads or fails over: one pair of servers for all services."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from mailmesh.ingest.v1.subscription_service_pb2 import ListSubscriptionsRequest
from mailmesh.ingest.v1.subscription_service_pb2_grpc import SubscriptionServiceStub
from mailmesh.processor.v1.event_service_pb2 import ListEventsRequest
from mailmesh.processor.v1.event_service_pb2_grpc import EventServiceStub
from mailmesh.vault.v1.tenant_service_pb2 import ListTenantsRequest
from mailmesh.vault.v1.tenant_service_pb2_grpc import TenantServiceStub
from stack.blocking import run_blocking
from stack.cli.exits import code_of
from stack.programs.postgres import PostgresServer
from stack.programs.roles import create_database, roles_for, with_database
from tests.mesh.accounts import PROVIDERS, connect, new_address, subscribe, told_when_all_are
from tests.programs.mesh import Mesh, eventually, running_mesh
from tests.programs.postgres import PostgresProgram, start_postgres
from tests.programs.standby import Address, Standby, order

pytestmark = pytest.mark.timeout(400)
DATABASE = "mesh"
SERVICES = ("token-vault", "ingest-1", "processor", "worker-1")
HEAL_SECONDS = 90.0
REFUSALS = {"STORE_UNAVAILABLE", "SERVICE_UNAVAILABLE"}
DIRECT = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
END_ALL = f"SELECT pg_terminate_backend(pid, 10000) {DIRECT}"


@pytest.fixture(scope="module")
def primary(short_folder: Path) -> Iterator[PostgresProgram]:
    program = start_postgres(short_folder / "p1", is_careless=False)
    run_blocking(create_database(program.server.url(), DATABASE))
    yield program
    program.running.stop()


@pytest.fixture(scope="module")
def address(primary: PostgresProgram, short_folder: Path) -> Address:
    return Address(short_folder / "pa", primary.server)


@pytest.fixture(scope="module")
def mesh(primary: PostgresProgram, address: Address, short_folder: Path) -> Iterator[Mesh]:
    url = address.of(url_of(primary.server))
    with running_mesh(short_folder / "over", environment={"DATABASE_URL": url}) as started:
        yield started


@dataclass
class Accounts:
    """A connected account at each provider, and the ids of its mails."""

    addresses: dict[str, str]
    tenants: dict[str, str]
    mails: dict[str, list[str]] = field(default_factory=lambda: {provider: [] for provider in PROVIDERS})

    def send(self, mesh: Mesh, count: int = 3) -> None:
        """Delivers mails at both providers."""
        for provider, address in self.addresses.items():
            sent = mesh.simulator.generate(address, count, first=len(self.mails[provider]))
            self.mails[provider] += [mail["id"] for mail in sent]

    def expect_all(self, mesh: Mesh) -> None:
        """Waits until every mail was reported, and checks that each was reported once."""
        for provider, tenant in self.tenants.items():
            wanted = sorted(self.mails[provider])
            told = eventually(partial(told_when_all_are, mesh, tenant, len(wanted)), HEAL_SECONDS, what=provider)
            assert told == wanted


@pytest.fixture(scope="module")
def accounts(mesh: Mesh) -> Accounts:
    addresses = {provider: new_address(mesh, provider) for provider in PROVIDERS}
    tenants = {provider: connect(mesh, provider, address) for provider, address in addresses.items()}
    for tenant in tenants.values():
        subscribe(mesh, tenant)
    return Accounts(addresses, tenants)


@contextmanager
def altered(server: PostgresProgram, start: tuple[str, ...], end: tuple[str, ...]) -> Iterator[None]:
    url = url_of(server.server)
    run_blocking(order(url, *start, END_ALL))
    try:
        yield
    finally:
        run_blocking(order(url, *end))


@contextmanager
def killed(server: PostgresProgram) -> Iterator[None]:
    server.running.kill()
    try:
        yield
    finally:
        server.running.restart()


def read_only(server: PostgresProgram) -> AbstractContextManager[None]:
    reload = "SELECT pg_reload_conf()"
    return altered(
        server,
        ("ALTER SYSTEM SET default_transaction_read_only = on", reload),
        ("ALTER SYSTEM RESET default_transaction_read_only", reload),
    )


def without_slots(server: PostgresProgram) -> AbstractContextManager[None]:
    change = f"ALTER DATABASE {DATABASE} CONNECTION LIMIT"
    return altered(server, (f"{change} 0",), (f"{change} -1",))


def not_let_in(server: PostgresProgram) -> AbstractContextManager[None]:
    roles = [service.role for service in roles_for(url_of(server.server)).values()]
    start, end = (tuple(f"ALTER ROLE {role} {word}" for role in roles) for word in ("NOLOGIN", "LOGIN"))
    return altered(server, start, end)


@pytest.mark.parametrize("condition", [read_only, without_slots, not_let_in, killed])
def test_every_service_tells_the_truth_and_is_back_with_its_database(
    mesh: Mesh,
    accounts: Accounts,
    primary: PostgresProgram,
    condition: Callable[[PostgresProgram], AbstractContextManager[None]],
) -> None:
    accounts.send(mesh)
    with condition(primary):
        accounts.send(mesh)
        expect_refusals(mesh)

    eventually(partial(is_up, mesh, 1), HEAL_SECONDS, what="every service reports its database")
    accounts.expect_all(mesh)


def test_a_failover_to_a_standby_loses_nothing(
    mesh: Mesh, accounts: Accounts, primary: PostgresProgram, address: Address, short_folder: Path
) -> None:
    standby = Standby(primary.server, short_folder / "p2")
    try:
        # A commit that is acknowledged is on both.
        run_blocking(
            order(url_of(primary.server), "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
        )
        accounts.send(mesh)
        primary.running.kill()
        address.lead_to(standby.server)
        accounts.send(mesh)
        # The standby lets everyone in, and cannot write.
        expect_refusals(mesh)
        standby.promote()

        eventually(partial(is_up, mesh, 1), HEAL_SECONDS, what="every service reports the new primary")
        accounts.expect_all(mesh)
    finally:
        mesh.stop()
        standby.running.stop()


def expect_refusals(mesh: Mesh) -> None:
    """Waits until health and metrics tell of the database's state, and checks each service's own words."""
    eventually(partial(is_up, mesh, 0), HEAL_SECONDS, what="every service reports the lack of its database")
    for call in (
        lambda: TenantServiceStub(mesh.channel).ListTenants(ListTenantsRequest(), timeout=20),
        lambda: SubscriptionServiceStub(mesh.channel).ListSubscriptions(ListSubscriptionsRequest(), timeout=20),
        lambda: EventServiceStub(mesh.channel).ListEvents(ListEventsRequest(cursor="earliest"), timeout=20),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            call()
        assert code_of(refused.value) is grpc.StatusCode.UNAVAILABLE
        assert reason_of(refused.value) in REFUSALS
    url = f"{mesh.ready.http}/api/ms365/webhook"
    notification = {"subscriptionId": "unknown", "clientState": "x", "changeType": "created", "resource": "r"}
    assert httpx.post(url, json={"value": [notification]}, timeout=20).status_code == httpx.codes.SERVICE_UNAVAILABLE
    listed = httpx.get(f"{mesh.ready.http}/v1/tenants", headers={"authorization": f"Bearer {mesh.key}"}, timeout=20)
    assert listed.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert listed.json()["details"][0]["reason"] in REFUSALS


def is_up(mesh: Mesh, wanted: int) -> bool:
    """Whether every process says this about its database."""
    line = f'mailmesh_dependency_up{{dependency="postgres"}} {wanted}.0'
    return all(line in httpx.get(mesh.ready.metrics[name], timeout=20).text for name in SERVICES)


def reason_of(fault: Any) -> str:
    status, info = rpc_status.from_call(fault), error_details_pb2.ErrorInfo()
    for detail in status.details if status is not None else ():
        if detail.Unpack(info):
            return info.reason
    return ""


def url_of(server: PostgresServer) -> str:
    return with_database(server.url(), DATABASE)
