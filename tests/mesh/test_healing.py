"""Any one process is killed; the mesh heals by itself, and no mail is lost or reported twice."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import grpc
import psutil
import pytest

from mailmesh.ingest.v1.subscription_service_pb2 import ListSubscriptionsRequest
from mailmesh.ingest.v1.subscription_service_pb2_grpc import SubscriptionServiceStub
from mailmesh.processor.v1.processor_service_pb2 import GetPipelineStatusRequest
from mailmesh.processor.v1.processor_service_pb2_grpc import ProcessorServiceStub
from mailmesh.vault.v1.tenant_service_pb2 import ListTenantsRequest
from mailmesh.vault.v1.tenant_service_pb2_grpc import TenantServiceStub
from stack.cli.connection import CHANNEL_OPTIONS, with_key
from stack.cli.exits import code_of
from tests.mesh.accounts import PROVIDERS, connect, new_address, subscribe, told_when_all_are
from tests.programs.descriptors import without_descriptors
from tests.programs.mesh import Mesh, eventually, running_mesh

pytestmark = pytest.mark.timeout(300)
PROCESSES = ("ingest-1", "worker-1", "processor", "token-vault", "envoy", "redis", "postgres")
HEAL_SECONDS = 90.0
STARVED = (("token-vault", "ingest-1", "processor", "worker-1"), ("envoy",), ("supervisor",))


@pytest.fixture(scope="module")
def mesh(short_folder: Path) -> Iterator[Mesh]:
    """A mesh of their own: these tests break it."""
    with running_mesh(short_folder / "healing") as started:
        yield started


@pytest.mark.parametrize("victim", PROCESSES)
def test_a_killed_process_heals_and_no_mail_is_lost(mesh: Mesh, victim: str) -> None:
    eventually(partial(_is_whole, mesh), HEAL_SECONDS, what="the mesh is well before it is hurt")
    accounts = {provider: new_address(mesh, provider) for provider in PROVIDERS}
    tenants = {provider: connect(mesh, provider, address) for provider, address in accounts.items()}
    for tenant in tenants.values():
        subscribe(mesh, tenant)
    before = {provider: mesh.simulator.generate(address, 5) for provider, address in accounts.items()}
    killed = mesh.kill(victim)
    after = {provider: mesh.simulator.generate(address, 5, first=5) for provider, address in accounts.items()}

    eventually(lambda: _is_back(mesh, victim, killed), HEAL_SECONDS, what=f"{victim} is back")
    for provider, tenant in tenants.items():
        wanted = sorted(mail["id"] for mail in (*before[provider], *after[provider]))
        told = eventually(
            partial(told_when_all_are, mesh, tenant, len(wanted)), HEAL_SECONDS, what=f"all mails of {provider}"
        )
        assert told == wanted


def test_everything_starts_again_when_the_supervisor_is_killed(mesh: Mesh) -> None:
    eventually(partial(_is_whole, mesh), HEAL_SECONDS, what="the mesh is well before it is hurt")
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address)
    subscribe(mesh, tenant)
    before = mesh.simulator.generate(address, 2)
    eventually(partial(told_when_all_are, mesh, tenant, 2))
    killed = mesh.kill("supervisor")

    eventually(lambda: _is_back(mesh, "supervisor", killed), HEAL_SECONDS, what="the supervisor is back")
    eventually(partial(_is_whole, mesh), HEAL_SECONDS, what="the mesh is whole again")
    after = mesh.simulator.generate(address, 2, first=2)
    wanted = sorted(mail["id"] for mail in (*before, *after))
    assert eventually(partial(told_when_all_are, mesh, tenant, len(wanted)), HEAL_SECONDS) == wanted


@pytest.mark.parametrize("starved", STARVED, ids="+".join)
def test_processes_without_free_descriptors_heal_when_some_are_free(mesh: Mesh, starved: tuple[str, ...]) -> None:
    eventually(partial(_is_whole, mesh), HEAL_SECONDS, what="the mesh is well before it is hurt")
    accounts = {provider: new_address(mesh, provider) for provider in PROVIDERS}
    tenants = {provider: connect(mesh, provider, address) for provider, address in accounts.items()}
    for tenant in tenants.values():
        subscribe(mesh, tenant)
    pids, supervisor = [mesh.ready.processes[name] for name in starved], mesh.ready.processes["supervisor"]
    with without_descriptors(pids, by_count="supervisor" in starved):
        # Every connection to the database has to be made again, and none can be.
        mesh.kill("postgres")
        sent = {provider: mesh.simulator.generate(address, 5) for provider, address in accounts.items()}
        eventually(partial(_tells_the_truth, mesh), HEAL_SECONDS, what="the mesh says that it is not well")
    eventually(partial(_is_whole, mesh), HEAL_SECONDS, what="the mesh is whole again")
    assert mesh.ready.processes["supervisor"] == supervisor
    for provider, tenant in tenants.items():
        wanted = sorted(mail["id"] for mail in sent[provider])
        told = eventually(
            partial(told_when_all_are, mesh, tenant, len(wanted)), HEAL_SECONDS, what=f"all mails of {provider}"
        )
        assert told == wanted


def _tells_the_truth(mesh: Mesh) -> bool:
    """Whether a call that needs the database is refused as one to be repeated, or waits for the edge in vain.

    It is made on a connection of its own: an edge that can open none still answers on those that it has.
    """
    with grpc.insecure_channel(mesh.ready.grpc, (*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1))) as channel:
        try:
            stub = ProcessorServiceStub(with_key(channel, mesh.key))
            status = stub.GetPipelineStatus(GetPipelineStatusRequest(), timeout=10)
        except grpc.RpcError as fault:
            return code_of(fault) in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        return bool(status.unavailable)


def _is_whole(mesh: Mesh) -> bool:
    """Whether every service answers, through the edge and among themselves, and someone works."""
    status = ProcessorServiceStub(mesh.channel).GetPipelineStatus(GetPipelineStatusRequest())
    TenantServiceStub(mesh.channel).ListTenants(ListTenantsRequest())
    SubscriptionServiceStub(mesh.channel).ListSubscriptions(ListSubscriptionsRequest())
    return not status.unavailable and len(status.workers) > 0


def _is_back(mesh: Mesh, victim: str, killed: int) -> bool:
    if not (mesh.data / "ready.json").exists():
        return False
    pid = mesh.ready.processes.get(victim, 0)
    return pid not in (0, killed) and psutil.pid_exists(pid)
