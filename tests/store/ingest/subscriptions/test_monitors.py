"""The monitors of subscriptions: silence, the public address and releases."""

from datetime import timedelta

from mailmesh.ingest.v1.inbox_item_pb2 import RECONCILE_REASON_SILENCE, Reconcile
from mailmesh.vault.v1 import tenant_pb2
from mailmesh.vault.v1.token_vault_service_pb2 import ConfirmTenantReleaseRequest, TenantChange
from services.ingest.errors import ProviderUnavailable
from services.ingest.store import tenants
from services.ingest.subscriptions.monitors import AddressMonitor, ReleaseMonitor, SilenceMonitor, SubscriptionGauges
from services.ingest.subscriptions.token_vault import ReleaseConfirmer
from services.meshkit import db
from services.meshkit.clock import ManualClock
from services.meshkit.ids import new_id
from services.meshkit.queue import WakeQueue
from tests.store.ingest.subscriptions.conftest import Ground, tenant

QUIET = timedelta(hours=4)


async def test_a_quiet_mailbox_is_compared_once_for_each_quiet_time(ground: Ground, clock: ManualClock) -> None:
    tenant_id = new_id()
    for folder in ("inbox", "archive"):
        await ground.make(await ground.add(tenant_id, folder_id=folder, at=clock.now()), at=clock.now())
    async with WakeQueue.open(None, "processor") as wakes:
        watch = SilenceMonitor(ground.pool, QUIET, QUIET * 6, clock, wakes.wake)
        async with db.connection(ground.pool) as connection:
            await connection.execute("UPDATE ingest.subscriptions SET created_at = $1", clock.now())
        assert 0 == await watch.round()
        clock.advance(QUIET)
        assert [2, 0] == [await watch.round(), await watch.round()]
        async with db.connection(ground.pool) as connection:
            items = await connection.fetch("SELECT tenant_id::text, content FROM ingest.items")

    assert [(tenant_id, RECONCILE_REASON_SILENCE)] == [
        (item["tenant_id"], Reconcile.FromString(item["content"]).reason) for item in items
    ]


async def test_one_round_compares_the_quiet_mailboxes_of_several_tenants(ground: Ground, clock: ManualClock) -> None:
    both = {new_id(), new_id()}
    for tenant_id in both:
        await ground.make(await ground.add(tenant_id, at=clock.now()), at=clock.now())
    woken: list[str] = []
    watch = SilenceMonitor(ground.pool, QUIET, QUIET * 6, clock, woken.append)
    async with db.connection(ground.pool) as connection:
        await connection.execute("UPDATE ingest.subscriptions SET created_at = $1", clock.now())
    clock.advance(QUIET)
    assert 2 == await watch.round()
    async with db.connection(ground.pool) as connection:
        items = await connection.fetch("SELECT tenant_id::text FROM ingest.items")

    assert sorted(both) == sorted(woken) == sorted(item["tenant_id"] for item in items)


async def test_what_pushes_to_an_older_address_is_due_once_for_each_new_one(ground: Ground, clock: ManualClock) -> None:
    at_graph = await ground.make(await ground.add(at=clock.now()), at=clock.now())
    await ground.make(await ground.add_watch(new_id(), "INBOX"), at=clock.now())
    wakes: list[str] = []

    async def start(address: str) -> tuple[list[str], int]:
        watch = AddressMonitor(ground.pool, address, lambda: wakes.append(address), clock)
        assert [0, 0] == [await watch.round(), await watch.round()]
        due = [*await ground.due(clock.now()), *await ground.due(clock.now(), provider="googlews")]
        return due, wakes.count(address)

    assert ([], 0) == await start("https://one.example")
    assert ([], 0) == await start("https://one.example")
    assert ([], 0) == await start("")
    assert ([at_graph.subscription_id], 1) == await start("https://two.example")
    await ground.make(at_graph, at=clock.now())
    assert ([], 1) == await start("https://two.example")


class Vault:
    """TokenVault's end of a release, which is away at first."""

    def __init__(self) -> None:
        self.is_away = True
        self.released: list[str] = []

    async def confirm(self, request: ConfirmTenantReleaseRequest) -> None:
        if self.is_away:
            raise ProviderUnavailable
        self.released.append(request.tenant_id)


async def test_a_release_is_confirmed_until_token_vault_takes_it_and_then_no_more(ground: Ground) -> None:
    vault, tenant_id = Vault(), new_id()
    change = TenantChange(tenant=tenant(tenant_id, tenant_pb2.TENANT_STATUS_DISCONNECTING))
    await tenants.apply_changes(ground.pool, [change], "", "1")
    watch = ReleaseMonitor(ground.pool, ReleaseConfirmer(vault.confirm))

    assert 0 == await watch.round()
    vault.is_away = False
    assert [1, 0] == [await watch.round(), await watch.round()]
    assert [tenant_id] == vault.released


async def test_a_release_waits_for_the_last_step(ground: Ground) -> None:
    vault = Vault()
    vault.is_away = False
    row = await ground.make(await ground.add())
    for number, status in enumerate((tenant_pb2.TENANT_STATUS_ACTIVE, tenant_pb2.TENANT_STATUS_DISCONNECTING)):
        change = TenantChange(tenant=tenant(row.tenant_id, status))
        await tenants.apply_changes(ground.pool, [change], str(number or ""), str(number + 1))

    assert 0 == await ReleaseMonitor(ground.pool, ReleaseConfirmer(vault.confirm)).round()
    assert [] == vault.released


async def test_counting_is_never_due_at_once_again(ground: Ground, clock: ManualClock) -> None:
    await ground.make(await ground.add())

    assert 0 == await SubscriptionGauges(ground.pool, clock).round()
