"""The whole way of an erasure through TokenVault's service, over all services that the contract lets call."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mailmesh.access.v1 import access_pb2
from mailmesh.vault.v1 import token_vault_service_pb2 as pb
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.identity.caller import Caller, calling_as
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.token_vault.accounts.erase import Eraser, ReportSigner
from services.token_vault.accounts.erase_person import PersonEraser
from services.token_vault.servicers.token_vault import TokenVaultServicer
from services.token_vault.store import erasures, tenants
from services.token_vault.store.tenants import ACTIVE, DISCONNECTED
from tests.programs.postgres import TestDatabase

NOW, ANN = datetime(2026, 11, 20, 12, tzinfo=UTC), "ann@example.com"
_RPCS = pb.DESCRIPTOR.services_by_name["TokenVaultService"].methods_by_name
CALLERS = tuple(_RPCS["GetPendingErasures"].GetOptions().Extensions[access_pb2.callers])


class Clock(SystemClock):
    """A clock that is set."""

    time = NOW

    def now(self) -> datetime:
        """Return the time."""
        return self.time


class Way:
    """TokenVault's service, and its rounds."""

    def __init__(self, pool: db.Pool, signer: ReportSigner) -> None:
        self.pool, self.clock, kept = pool, Clock(), timedelta(days=30)
        unused: Any = None  # nothing is disconnected, lent or probed on this way
        self.tenants = Eraser(pool, unused, signer, self.clock, kept)
        self.persons = PersonEraser(pool, signer, self.clock, kept)
        self.service = TokenVaultServicer(
            unused, unused, unused, unused, self.tenants, self.persons, unused, unused, pool, self.clock
        )

    async def audited(self, action: str) -> int:
        """Return the number of an action's audit entries."""
        return int(await self.pool.fetchval("SELECT count(*) FROM vault.audit_entries WHERE action = $1", action))

    async def ask(self) -> set[str]:
        """Let each service ask once and confirm what it may begin; return the names of those that confirmed."""
        confirmed, context = set(), None
        for name in CALLERS:
            with calling_as(Caller(name)):
                found = await self.service.GetPendingErasures(pb.GetPendingErasuresRequest(), context)  # type: ignore[arg-type]
                asked = [pb.ConfirmErasureRequest(tenant_id=tenant_id) for tenant_id in found.tenant_ids]
                for one in found.persons:
                    named = {"tenant_id": one.tenant_id, "erasure_id": one.erasure_id}
                    asked += [pb.ConfirmErasureRequest(**named, progress={"is_done": True})] if one.is_due else []
                for request in asked:
                    await self.service.ConfirmErasure(request, context)  # type: ignore[arg-type]
                    confirmed.add(name)
        self.clock.time += timedelta(minutes=1)
        while await self.tenants.round() or await self.persons.round():
            pass
        return confirmed


@pytest.fixture
async def way(token_vault_database: TestDatabase, tmp_path: Path) -> AsyncIterator[Way]:
    (tmp_path / "key.pem").write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "certificate.pem").write_text("certificate")
    async with db.open_pool(Secret(token_vault_database.url), "tests") as opened:
        yield Way(opened, ReportSigner(tmp_path / "certificate.pem", tmp_path / "key.pem"))


async def tenant_with(pool: db.Pool, status: str) -> str:
    """Add a tenant."""
    tenant_id = new_id()
    times = dict.fromkeys(("status_changed_at", "connected_at", "created_at", "updated_at"), NOW)
    account = {"provider": "ms365", "external_account": tenant_id, "address": "desk@example.com", "display_name": "A"}
    async with db.transaction(pool) as connection:
        await tenants.insert_tenant(connection, {"tenant_id": tenant_id, "status": status, **account, **times})
    return tenant_id


async def test_the_erasure_of_a_tenant_ends_once_each_service_of_the_contract_has_confirmed(way: Way) -> None:
    tenant = await tenant_with(way.pool, DISCONNECTED)
    async with db.transaction(way.pool) as connection:
        await erasures.begin(connection, tenant, NOW)
    confirmed: set[str] = set()
    for _ in CALLERS:
        assert (await way.tenants.get(tenant, None)).finished_at is None
        confirmed |= await way.ask()

    done = await way.tenants.get(tenant, None)
    await way.tenants._finish(tenant)  # another process saw it ready as well
    assert (done, 1) == (await way.tenants.get(tenant, None), await way.audited("tenant.erase"))
    assert (set(CALLERS), True) == (confirmed, done.finished_at is not None)
    assert {*CALLERS, "token-vault"} == json.loads(done.report)["removed"].keys()


async def test_the_erasure_of_a_person_waits_for_no_service_that_erases_no_persons(way: Way) -> None:
    tenant = await tenant_with(way.pool, ACTIVE)
    with calling_as(Caller("envoy", key_id=new_id())):
        begun = await way.persons.start(tenant, ANN, None)
    confirmed: set[str] = set()
    for _ in CALLERS:
        confirmed |= await way.ask()

    done = await way.persons.get(tenant, begun.erasure_id, None)
    await way.persons._finish(replace(done, finished_at=None))  # another process saw it ready as well
    assert (done, 2) == (await way.persons.get(tenant, begun.erasure_id, None), await way.audited("person.erase"))
    report = json.loads(done.report or "{}")
    assert {"ingest", "processor", "delivery"} == confirmed
    assert (done.finished_at is not None, "") == (True, done.address)
    assert (confirmed | {"token-vault"}, True) == (report["removed"].keys(), "workflow_runs" in report["kept"])


async def test_a_service_without_erasures_is_given_none(way: Way) -> None:
    tenant = await tenant_with(way.pool, ACTIVE)
    with calling_as(Caller("envoy", key_id=new_id())):
        await way.persons.start(tenant, ANN, None)
    with calling_as(Caller("primitives")):
        context: Any = None
        found = await way.service.GetPendingErasures(pb.GetPendingErasuresRequest(), context)
    assert pb.GetPendingErasuresResponse() == found
