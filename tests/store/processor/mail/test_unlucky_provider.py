"""However unlucky the provider is, the events tell in the end what the mailbox holds.

Cursors and page tokens are lost in the middle of a round, single messages, folders and lists are refused, calls are
throttled, and Gmail's history and lists lag, while the mailbox changes. MAILMESH_TEST_SEEDS sets how many seeds are
tried, MAILMESH_TEST_SEED a first seed, to repeat a failure.
"""

import asyncio
import os
import random
from collections.abc import Sequence
from typing import Any

import pytest

from mailmesh.processor.v1 import event_pb2
from services.processor.worker import running
from tests.mesh.processor.test_truth import differences
from tests.store.processor.ground import Ground, read_events

pytestmark = pytest.mark.timeout(300)

SEEDS = int(os.environ.get("MAILMESH_TEST_SEEDS", "1"))
FIRST_SEED = int(os.environ.get("MAILMESH_TEST_SEED", "0")) or random.SystemRandom().randrange(1_000_000)
ROUNDS, CHANGES_A_ROUND, TURNS = 3, 25, 4
_SMALL = {"page_size": 12, "commit_messages": 8, "slice_seconds": 1.0, "fetch_attempts": 3, "overlap_seconds": 2}
_PASSING = ({"status": 500}, {"status": 503, "retry_after": 1}, {"status": 429, "retry_after": 1})
_OF_ONE = (*_PASSING, {"status": 403, "code": "domainPolicy"}, {"status": 400, "code": "failedPrecondition"})
_OF_A_CURSOR = (
    *_PASSING,
    {"status": 400, "code": "invalidArgument"},
    {"status": 404, "code": "notFound"},
    {"status": 410, "code": "gone"},
)
_RULES: dict[str, tuple[tuple[dict[str, Any], tuple[dict[str, Any], ...]], ...]] = {
    "googlews": (
        ({"endpoint": "gmail.messages.get", "probability": 0.1}, _OF_ONE),
        ({"endpoint": "gmail.messages.get", "count": 1}, ({"status": 404}, {"status": 410})),
        ({"endpoint": "gmail.history.list", "probability": 0.15}, _PASSING),
        ({"endpoint": "gmail.history.list", "count": 2}, _OF_A_CURSOR),
        ({"endpoint": "gmail.messages.list", "stored": True, "count": 2}, _OF_A_CURSOR),
        ({"endpoint": "gmail.messages.list", "probability": 0.1}, _PASSING),
        ({"endpoint": "gmail.profile", "probability": 0.1}, _PASSING),
    ),
    "ms365": (
        ({"endpoint": "graph.messages.get", "probability": 0.1}, _OF_ONE),
        ({"endpoint": "graph.messages.get", "count": 1}, ({"status": 404}, {"status": 410})),
        ({"endpoint": "graph.batch", "probability": 0.2}, _OF_ONE),
        ({"endpoint": "graph.messages.delta", "probability": 0.1}, _PASSING),
        ({"endpoint": "graph.messages.delta", "stored": True, "count": 2}, _OF_A_CURSOR),
        ({"endpoint": "graph.messages.delta", "count": 1}, ({"status": 403}, {"status": 410})),
        ({"endpoint": "graph.messages.list", "query": "*lastModified*", "probability": 0.2}, _OF_A_CURSOR),
        ({"endpoint": "graph.folders.list", "probability": 0.1}, _PASSING),
    ),
}


@pytest.mark.parametrize("watched", ["all mail", "inbox"])
@pytest.mark.parametrize("provider", ["googlews", "ms365"])
@pytest.mark.parametrize("nth_seed", range(SEEDS))
async def test_events_tell_what_an_unlucky_mailbox_holds(
    ground: Ground, provider: str, watched: str, nth_seed: int
) -> None:
    seed = FIRST_SEED + nth_seed
    scope: dict[str, Any] = {"folder": "", "labels": ()} if watched == "all mail" else {}
    tenant = await ground.tenant(provider, **scope)
    if provider == "googlews":
        await ground.begin(tenant)
    await asyncio.sleep(1.1)  # The provider cuts times to the second: what follows is surely after the beginning.
    async with running(ground.worker_settings(**_SMALL)):
        await ground.reconcile(tenant)
        await ground.settled()  # An unknown mail is surely new only once every folder was listed.
        chance = random.Random(f"{seed} {provider} {watched}")
        for number in range(ROUNDS):
            await _unlucky_round(ground, tenant, chance, seed * 10 + number)
        await ground.control.clear_faults()
        await ground.control.lag(tenant.address)
        if provider == "googlews":
            await ground.push_present(tenant)
        await ground.reconcile(tenant)
        await _until_told(ground, tenant, seed, is_inbox=watched == "inbox")


async def _unlucky_round(ground: Ground, tenant: Any, chance: random.Random, seed: int) -> None:
    rules = [rule for rule in _RULES[tenant.provider] if chance.random() < 0.5]
    for where, answers in rules:
        times = {"skip": chance.randrange(6)} if "count" in where else {}
        await ground.control.add_fault("status", account=tenant.address, **where, **times, **chance.choice(answers))
    if tenant.provider == "googlews":
        lags = {name: chance.choice((0, 0, 1)) for name in ("list_seconds", "history_seconds")}
        await ground.control.lag(tenant.address, **lags)
    for turn in range(TURNS):
        await ground.control.churn(tenant.address, CHANGES_A_ROUND // TURNS, seed * 10 + turn)
        if chance.random() < 0.15:
            await ground.control.expire_history(tenant.address)
        await _notice(ground, tenant, chance)
        await asyncio.sleep(chance.random() * 0.6)
    await ground.control.clear_faults()


async def _notice(ground: Ground, tenant: Any, chance: random.Random) -> None:
    """Let the change be found by a push, by notifications, by a reconciliation, or not at all."""
    truth = await ground.control.truth(tenant.address)
    match chance.choice(("push", "push", "schedule", "reconcile", "nothing")):
        case "push" if tenant.provider == "googlews":
            await ground.push(tenant, int(truth["historyId"]))
        case "push":
            for mail in chance.sample(truth["messages"], min(4, len(truth["messages"]))):
                await ground.notify(tenant, "updated", mail)
            for mail in truth["deleted"][-2:]:
                await ground.notify(tenant, "deleted", mail)
        case "schedule":
            await ground.reconcile(tenant, is_scheduled=True)
        case "reconcile":
            await ground.reconcile(tenant)


def _readable(truth: dict[str, Any], events: Sequence[event_pb2.Event]) -> tuple[dict[str, Any], list[event_pb2.Event]]:
    """Leave out mails whose last event is final without content: events tell no more of them before their next change.

    A deletion is such a change, so mails that are gone stay in.
    """
    last = {event.mail.message_id: event.mail for event in events}
    unread = {message_id for message_id, mail in last.items() if mail.not_enriched.is_final}
    left_out = unread & {mail["id"] for mail in truth["messages"]}
    messages = [mail for mail in truth["messages"] if mail["id"] not in left_out]
    return {**truth, "messages": messages}, [event for event in events if event.mail.message_id not in left_out]


async def _until_told(ground: Ground, tenant: Any, seed: int, *, is_inbox: bool) -> None:
    last: list[str] = []

    async def is_told() -> bool:
        events = [event for event in await read_events(ground.processor) if event.WhichOneof("kind") == "mail"]
        last[:] = differences(*_readable(await ground.control.truth(tenant.address), events), is_inbox=is_inbox)
        return not last

    try:
        await ground.until(is_told, 120)
    except AssertionError:
        pytest.fail(f"seed {seed}, {tenant.provider}, {'inbox' if is_inbox else 'all mail'}:\n" + "\n".join(last))
    assert [] == ground.vault.faults
