"""The steps of an export through TokenVault: all services in order, one audit entry, tokens that no caller can make."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from mailmesh.vault.v1.tenant_rows_service_pb2 import ReadTenantRowsRequest, ReadTenantRowsResponse, TableKey
from services.meshkit import db, opaque
from services.meshkit.clock import ManualClock, SystemClock
from services.meshkit.errors import FieldInvalid, PageTokenInvalid, Unavailable
from services.meshkit.identity.caller import Caller, calling_as
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.token_vault.accounts.export import SERVICES, Exporter
from services.token_vault.errors import TenantNotFound
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.store import tenants
from tests.programs.postgres import TestDatabase

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RING = KeyRing({"new": b"n" * 32, "old": b"o" * 32})


class Others:
    """The rows of services: two pages each, or none while a service does not run."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, tuple[str, ...], str]] = []
        self.away: set[str] = set()

    async def read(self, service: str, request: ReadTenantRowsRequest) -> ReadTenantRowsResponse:
        """Answer a page."""
        if service in self.away:
            raise Unavailable
        place = request.place
        self.asked.append((service, place.table, tuple(place.after), request.address))
        following = None if place.table else TableKey(table="second", after=["ann@example.test"])
        return ReadTenantRowsResponse(table=place.table or "first", rows=[f'"{service}"'], next=following)


@pytest.fixture
async def pool(token_vault_database: TestDatabase) -> AsyncIterator[db.Pool]:
    async with db.open_pool(Secret(token_vault_database.url), "tests") as opened:
        with calling_as(Caller("envoy", key_id=new_id())):
            yield opened


def exporter(pool: db.Pool, others: Others, ring: KeyRing = RING) -> Exporter:
    """Return the exporter over services that answer from this process."""

    readers = {service: partial(others.read, service) for service in SERVICES}
    return Exporter(pool, ring, readers, SystemClock())


async def connected(pool: db.Pool) -> str:
    """Add a tenant."""
    tenant_id = new_id()
    times = dict.fromkeys(("status_changed_at", "connected_at", "created_at", "updated_at"), NOW)
    account = {"provider": "ms365", "external_account": tenant_id, "address": "desk@example.com", "display_name": "A"}
    async with db.transaction(pool) as connection:
        await tenants.insert_tenant(connection, {"tenant_id": tenant_id, "status": "active", **account, **times})
    return tenant_id


async def test_the_services_follow_each_other_and_the_export_is_recorded_once(pool: db.Pool) -> None:
    tenant, others = await connected(pool), Others()
    export, rows, token = exporter(pool, others), [], ""
    while True:
        page = await export.page(tenant, "Ann@Example.test", token, frozenset({tenant}))
        rows += page.rows.rows
        assert b"ann" not in opaque.decode(page.next_token, 16384)
        if not page.next_token:
            break
        # A page can be read again, also by a process whose keys were rotated.
        token = page.next_token
        again = exporter(pool, others, KeyRing({"newest": b"x" * 32, "new": b"n" * 32}))
        first = await again.page(tenant, "ann@example.test", token, None)
        assert first.rows == (await export.page(tenant, "ann@example.test", token, None)).rows

    assert [f'"{service}"' for service in SERVICES for _ in range(2)] == rows
    assert {"ann@example.test"} == {address for *_, address in others.asked}
    entries = await pool.fetch("SELECT action, tenant_id::text, detail FROM vault.audit_entries")
    assert [("tenant.export", tenant, '{"of": "one person"}')] == [tuple(row) for row in entries]


async def test_a_token_opens_for_its_tenant_and_address_alone(pool: db.Pool) -> None:
    tenant, other, export = await connected(pool), await connected(pool), exporter(pool, Others())
    token = (await export.page(tenant, "", "", None)).next_token
    raw = bytearray(opaque.decode(token))
    raw[-1] ^= 1
    refused = [
        (other, "", token),
        (tenant, "ann@example.test", token),
        (tenant, "", opaque.encode(bytes(raw))),
        (tenant, "", opaque.encode(b"unknown\0" + bytes(raw[4:]))),
        (tenant, "", opaque.encode(b"\xff\0x")),
        (tenant, "", "no base64!"),
        (tenant, "", "A" * 20_000),
    ]
    for one, address, given in refused:
        with pytest.raises(PageTokenInvalid):
            await export.page(one, address, given, None)


async def test_a_token_opens_for_the_key_that_began_the_export_alone(pool: db.Pool) -> None:
    tenant, export = await connected(pool), exporter(pool, Others())
    token = (await export.page(tenant, "", "", None)).next_token
    for another in (new_id(), ""):
        with calling_as(Caller("envoy", key_id=another)), pytest.raises(PageTokenInvalid):
            await export.page(tenant, "", token, None)

    assert "token-vault" == (await export.page(tenant, "", token, None)).service


async def test_a_token_ends_a_day_after_the_first_page_so_that_a_later_export_is_recorded(pool: db.Pool) -> None:
    tenant, clock = await connected(pool), ManualClock(NOW)
    readers = {service: partial(Others().read, service) for service in SERVICES}
    export = Exporter(pool, RING, readers, clock)
    first = await export.page(tenant, "", "", None)
    clock.advance(timedelta(hours=23, minutes=59))
    second = await export.page(tenant, "", first.next_token, None)
    clock.advance(timedelta(minutes=2))

    for token in (first.next_token, second.next_token):
        with pytest.raises(PageTokenInvalid):
            await export.page(tenant, "", token, None)
    await export.page(tenant, "", "", None)
    assert 2 == await pool.fetchval("SELECT count(*) FROM vault.audit_entries WHERE action = 'tenant.export'")


async def test_only_tenants_in_scope_and_real_addresses_are_exported(pool: db.Pool) -> None:
    tenant, others = await connected(pool), Others()
    export = exporter(pool, others)
    for one, scope in ((tenant, frozenset({new_id()})), (new_id(), None)):
        with pytest.raises(TenantNotFound):
            await export.page(one, "", "", scope)
    for address in ("ann", "ann@", "ann@example.test, bob@example.test", "a" * 400 + "@example.test"):
        with pytest.raises(FieldInvalid):
            await export.page(tenant, address, "", None)

    assert ([], 0) == (others.asked, await pool.fetchval("SELECT count(*) FROM vault.audit_entries"))


async def test_a_service_that_does_not_run_fails_the_page_and_the_token_stays_good(pool: db.Pool) -> None:
    tenant, others = await connected(pool), Others()
    export = exporter(pool, others)
    token = (await export.page(tenant, "", "", None)).next_token
    token = (await export.page(tenant, "", token, None)).next_token
    others.away = {"ingest"}
    with pytest.raises(Unavailable):
        await export.page(tenant, "", token, None)
    others.away = set()

    assert "ingest" == (await export.page(tenant, "", token, None)).service
