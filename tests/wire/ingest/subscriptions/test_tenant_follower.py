"""TokenVault's changes of tenants take effect here."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from mailmesh.ingest.v1 import inbox_service_pb2 as inbox_pb2
from mailmesh.ingest.v1.inbox_item_pb2 import ReconcileReason
from mailmesh.vault.v1.tenant_pb2 import Tenant, TenantStatus
from mailmesh.vault.v1.token_vault_service_pb2 import TenantFault
from services.meshkit.ids import new_id
from tests.factories.ingest import add_watched, graph_body, graph_item, push_body
from tests.wire.ingest.pushing import claim_all, push_gmail, push_graph


def tenant(tenant_id: str, status: str = "ACTIVE", provider: str = "ms365", address: str = "ann@example.com") -> Tenant:
    return Tenant(
        tenant_id=tenant_id,
        provider=provider,
        external_tenant_id="directory-1",
        user_id="user-1",
        address=address,
        status=TenantStatus.Value(f"TENANT_STATUS_{status}"),
    )


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.02)


async def is_followed(database: asyncpg.Connection, told: Tenant) -> bool:
    row = await database.fetchrow("SELECT status, address FROM ingest.tenants WHERE tenant_id = $1", told.tenant_id)
    return row is not None and (row["status"], row["address"]) == (told.status, told.address)


async def tell(vault: tuple[Any, str], database: asyncpg.Connection, told: Tenant, **more: bool) -> None:
    vault[0].tell(told, **more)
    await until(lambda: is_followed(database, told))


async def test_a_new_tenant_can_be_worked(clients: Any, vault: Any, database: asyncpg.Connection) -> None:
    told = tenant(new_id())
    await tell(vault, database, told)

    enqueued = await clients.inbox.EnqueueReconcile(
        inbox_pb2.EnqueueReconcileRequest(tenant_id=told.tenant_id, reason=ReconcileReason.RECONCILE_REASON_MANUAL)
    )

    assert [enqueued.item_id] == [item.item_id for item in await claim_all(clients)]


async def test_items_wait_while_a_person_is_needed_and_come_with_a_comparison_afterwards(
    clients: Any, vault: Any, database: asyncpg.Connection
) -> None:
    told = tenant(new_id())
    await tell(vault, database, told)
    watched = await add_watched(database, tenant_id=told.tenant_id)
    await tell(vault, database, tenant(told.tenant_id, "NEEDS_REAUTHORIZATION"))
    await push_graph(clients, graph_body(graph_item(watched, "AAMkWaits")))
    assert [] == await claim_all(clients)

    await tell(vault, database, tenant(told.tenant_id), is_reconnected=True)

    contents = [item.WhichOneof("content") for item in await claim_all(clients)]
    assert ["mail", "reconcile"] == contents


async def test_a_tenant_that_was_remembered_is_forgotten_when_its_state_changes(
    clients: Any, vault: Any, database: asyncpg.Connection
) -> None:
    told = tenant(new_id())
    await tell(vault, database, told)
    watched = await add_watched(database, tenant_id=told.tenant_id)
    await push_graph(clients, graph_body(graph_item(watched, "AAMkBefore")))
    await tell(vault, database, tenant(told.tenant_id, "DISABLED"))

    async def is_dropped() -> bool:
        before = await database.fetchval("SELECT count(*) FROM ingest.items")
        await push_graph(clients, graph_body(graph_item(watched)))
        return bool(before == await database.fetchval("SELECT count(*) FROM ingest.items"))

    await until(is_dropped)


async def test_a_push_to_an_address_that_nobody_has_asks_for_a_look_at_the_addresses(
    clients: Any, vault: Any, database: asyncpg.Connection
) -> None:
    assert "204" == await push_gmail(clients, push_body("nobody@example.com"))

    assert 0 == await database.fetchval("SELECT count(*) FROM ingest.items")

    async def is_reported() -> bool:
        return [TenantFault.TENANT_FAULT_ADDRESS_UNKNOWN] == [fault.fault for fault in vault[0].faults]

    await until(is_reported)


async def test_a_mailbox_that_has_a_new_address_is_compared_and_heard_under_it(
    clients: Any, vault: Any, database: asyncpg.Connection
) -> None:
    told = tenant(new_id(), provider="googlews", address="old@example.com")
    await tell(vault, database, told)
    await add_watched(database, provider="googlews", tenant_id=told.tenant_id)
    await push_gmail(clients, push_body("old@example.com", 1))
    await tell(vault, database, tenant(told.tenant_id, provider="googlews", address="new@example.com"))

    await push_gmail(clients, push_body("new@example.com", 2))

    contents = [item.WhichOneof("content") for item in await claim_all(clients)]
    assert ["mailbox_changed", "mailbox_changed", "reconcile"] == sorted(contents)


async def test_items_of_a_disconnected_tenant_are_not_given_out(
    clients: Any, vault: Any, database: asyncpg.Connection
) -> None:
    told = tenant(new_id())
    await tell(vault, database, told)
    watched = await add_watched(database, tenant_id=told.tenant_id)
    await push_graph(clients, graph_body(graph_item(watched)))

    await tell(vault, database, tenant(told.tenant_id, "DISCONNECTED"))

    assert [] == await claim_all(clients)
