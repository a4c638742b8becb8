"""Leases end and mailboxes are claimed in one commit."""

import asyncio

import asyncpg

from services.ingest.store import claims
from services.ingest.store.claims import ClaimRequest, Ended, Ending
from services.ingest.store.items import Kind
from services.meshkit.ids import new_id
from tests.factories.ingest import add_tenant
from tests.store.ingest.inbox.conftest import DEATHS, Inbox, ids, make_item

ENDED = Ended(is_lost=False, has_more_items=False)
LOST = Ended(is_lost=True, has_more_items=False)
COUNTED = "SELECT (SELECT count(*) FROM ingest.items), (SELECT count(*) FROM ingest.worked_items)"


async def counted(database: asyncpg.Connection) -> tuple[int, int]:
    """The items in the inbox, and those that are done."""
    waiting, done = await database.fetchrow(COUNTED) or (0, 0)
    return int(waiting), int(done)


async def end_and_claim(inbox: Inbox, *endings: Ending, tenants: int = 5) -> tuple[list[list[str]], list[Ended]]:
    """The items of the new leases, and the answers to the endings."""
    wanted = ClaimRequest("worker-1", 100, tenants, 60)
    leases, ended = await claims.end_and_claim(inbox.pool, wanted, DEATHS, endings)
    return [ids(lease) for lease in leases], ended


async def test_a_lease_ends_and_others_are_claimed_by_one_call(inbox: Inbox, database: asyncpg.Connection) -> None:
    first, second = await add_tenant(database), await add_tenant(database)
    done = await inbox.put_new(first, 2)
    [lease] = await inbox.claim()
    due = await inbox.put_new(second, 1)

    assert ([due], [ENDED]) == await end_and_claim(inbox, Ending(first, lease.fence, done))
    assert (1, 2) == await counted(database)
    assert await database.fetchval("SELECT lease_until IS NULL FROM ingest.mailboxes WHERE tenant_id = $1", first)


async def test_a_mailbox_with_newer_items_is_leased_again_under_the_next_fence(
    inbox: Inbox, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    done = await inbox.put_new(tenant_id, 1)
    [lease] = await inbox.claim()
    due = await inbox.put_new(tenant_id, 1)

    assert ([due], [ENDED]) == await end_and_claim(inbox, Ending(tenant_id, lease.fence, done))
    assert ([], [LOST]) == await end_and_claim(inbox, Ending(tenant_id, lease.fence, done)), "repeated too late"
    assert lease.fence + 1 == await database.fetchval("SELECT fence FROM ingest.mailboxes")


async def test_a_lost_lease_acknowledges_nothing_and_disturbs_no_other(
    inbox: Inbox, database: asyncpg.Connection
) -> None:
    mine, others = await add_tenant(database), await add_tenant(database)
    done, theirs = await inbox.put_new(mine, 1), await inbox.put_new(others, 1)
    leases = {lease.tenant_id: lease for lease in await inbox.claim(max_tenants=2)}
    endings = [
        Ending(others, leases[others].fence - 1, theirs),
        Ending(new_id(), 1, []),
        Ending(mine, leases[mine].fence, done),
    ]

    assert ([], [LOST, LOST, ENDED]) == await end_and_claim(inbox, *endings)
    assert (1, 1) == await counted(database)


async def test_an_ending_settles_items_of_its_own_lease_alone(inbox: Inbox, database: asyncpg.Connection) -> None:
    first, second = await add_tenant(database), await add_tenant(database)
    await inbox.put_new(first, 1)
    others = await inbox.put_new(second, 1)
    leases = {lease.tenant_id: lease for lease in await inbox.claim(max_tenants=2)}

    claimed, ended = await end_and_claim(inbox, Ending(first, leases[first].fence, others))

    assert ([], [Ended(is_lost=False, has_more_items=True)]) == (claimed, ended), "the lease goes on with its item"
    assert (2, 0) == await counted(database)


async def test_endings_and_the_writer_never_wait_for_each_other_in_a_circle(
    inbox: Inbox, database: asyncpg.Connection
) -> None:
    tenants = [await add_tenant(database) for _ in range(6)]

    async def write() -> None:
        for _ in range(40):
            await inbox.put(*(make_item(tenant_id, kind=Kind.MAILBOX_CHANGED) for tenant_id in tenants))

    writing, taken = asyncio.create_task(write()), 0
    endings: list[Ending] = []
    async with asyncio.timeout(60):
        while not writing.done() or taken < 40 * len(tenants):
            wanted = ClaimRequest("worker-1", 100, len(tenants), 60)
            leases, ended = await claims.end_and_claim(inbox.pool, wanted, DEATHS, endings)
            assert all(one == ENDED for one in ended)
            endings = [Ending(lease.tenant_id, lease.fence, ids(lease)) for lease in reversed(leases)]
            taken += sum(len(lease.items) for lease in leases)
    await writing
    await end_and_claim(inbox, *endings)
    assert (0, 40 * len(tenants)) == await counted(database)
