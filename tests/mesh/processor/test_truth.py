"""In the end the events report what the mailboxes hold, for any fate of the notifications.

Mailboxes live through random deliveries, flags, moves, trash, restores, deletions and drafts, while notifications are
lost, doubled, late and in reverse, and fetches fail now and then. MAILMESH_TEST_SEEDS sets how many seeds are tried,
MAILMESH_TEST_SEED a first seed, to repeat a failure.
"""

import os
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mailmesh.ingest.v1 import subscription_service_pb2 as subscriptions
from mailmesh.ingest.v1 import subscription_service_pb2_grpc as subscription_services
from mailmesh.processor.v1 import event_pb2
from tests.mesh.accounts import PROVIDERS, all_events, connect, new_address, told_when_all_are
from tests.programs.mesh import Mesh, eventually, running_mesh

pytestmark = pytest.mark.timeout(400)

SEEDS = int(os.environ.get("MAILMESH_TEST_SEEDS", "1"))
FIRST_SEED = int(os.environ.get("MAILMESH_TEST_SEED", "0")) or random.SystemRandom().randrange(1_000_000)
ROUNDS = 3
CHANGES_A_ROUND = 40
SETTLED_SECONDS = 60
HASTE = {
    "MAILMESH_PROCESSOR_MISSING_SECONDS": "1",
    "MAILMESH_PROCESSOR_RETRY_BASE_SECONDS": "0.2",
    "MAILMESH_PROCESSOR_RETRY_MAX_SECONDS": "1",
    "MAILMESH_PROCESSOR_GMAIL_UNITS_PER_MINUTE": "1000000",
    "MAILMESH_PROCESSOR_RECONCILE_ACTIVE_SECONDS": "2",
}


@pytest.fixture(scope="module")
def hasty_mesh(short_folder: Path) -> Iterator[Mesh]:
    """A mesh that waits shorter than a real one should, with two workers."""
    with running_mesh(short_folder / "truth", "--workers", "2", environment=HASTE) as started:
        yield started


@pytest.mark.parametrize("watched", ["all mail", "inbox"])
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("nth_seed", range(SEEDS))
def test_events_tell_what_the_mailbox_holds(hasty_mesh: Mesh, provider: str, watched: str, nth_seed: int) -> None:
    # Not in the test's name: processes that share the tests must find the same names.
    seed = FIRST_SEED + nth_seed
    mesh = hasty_mesh
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address)
    stub = subscription_services.SubscriptionServiceStub(mesh.channel)
    stub.CreateSubscription(subscriptions.CreateSubscriptionRequest(tenant_id=tenant, all_mail=watched == "all mail"))
    time.sleep(1.1)  # The provider cuts times to the second: what follows is surely after the beginning.
    faults = _spoil(mesh, address, seed)
    for number in range(ROUNDS):
        mesh.simulator.call("POST", f"accounts/{address}/churn", count=CHANGES_A_ROUND, seed=seed * 10 + number)
        eventually(partial(_has_told, mesh, tenant, number + 1), SETTLED_SECONDS)
    for fault in faults:
        mesh.simulator.call("DELETE", f"faults/{fault}")
    assert mesh.simulator.wait_until_idle(50)
    done = mesh.run("reconcile", tenant)
    assert done.returncode == 0, done.stderr

    is_inbox = watched == "inbox"
    last: list[str] = []

    def is_told() -> bool:
        last[:] = differences(mesh.simulator.truth(address), all_events(mesh, tenant), is_inbox=is_inbox)
        return not last

    try:
        eventually(is_told, SETTLED_SECONDS, what=f"seed {seed}")
    except AssertionError:
        pytest.fail(f"seed {seed}, {provider}, {watched}:\n" + "\n".join(last))


@pytest.mark.parametrize("watched", ["all mail", "inbox"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_mail_whose_notification_is_never_sent_is_told_by_the_schedule(
    hasty_mesh: Mesh, provider: str, watched: str
) -> None:
    mesh = hasty_mesh
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address)
    stub = subscription_services.SubscriptionServiceStub(mesh.channel)
    stub.CreateSubscription(subscriptions.CreateSubscriptionRequest(tenant_id=tenant, all_mail=watched == "all mail"))
    time.sleep(1.1)  # The provider cuts times to the second: what follows is surely after the beginning.
    for rule in ({"probability": 0.1}, {"skip": 30}):  # some in between, and all from the last ones on
        mesh.simulator.fault(kind="drop", endpoint="notify.*", account=address, **rule)
    mails = mesh.simulator.generate(address, 40)

    told = eventually(lambda: told_when_all_are(mesh, tenant, len(mails)), SETTLED_SECONDS)

    assert told == sorted(mail["id"] for mail in mails)


def _has_told(mesh: Mesh, tenant: str, count: int) -> bool:
    return len(all_events(mesh, tenant)) >= count


def _spoil(mesh: Mesh, address: str, seed: int) -> list[int]:
    chance = random.Random(seed)
    rules: list[dict[str, Any]] = [
        {"kind": "drop", "probability": chance.uniform(0, 0.2)},
        {"kind": "double", "probability": chance.uniform(0, 0.3)},
        {"kind": "late", "probability": chance.uniform(0, 0.3), "seconds": 2.0},
        {"kind": "reorder", "probability": chance.uniform(0, 0.5), "seconds": 1.0},
    ]
    added = [mesh.simulator.fault(endpoint="notify.*", account=address, **rule) for rule in rules]
    for endpoint in ("graph.messages.get", "gmail.messages.get"):
        rule = {"kind": "status", "status": 500, "probability": 0.05}
        added.append(mesh.simulator.fault(endpoint=endpoint, account=address, **rule))
    return added


def differences(truth: dict[str, Any], events: Sequence[event_pb2.Event], *, is_inbox: bool) -> list[str]:
    """Compares the last word of the events with the mailbox, and their order with what is promised."""
    told: dict[str, list[Any]] = defaultdict(list)
    for event in events:
        told[event.mail.message_id].append(event.mail)
    found = [fault for message_id, mails in told.items() for fault in _broken_promises(message_id, mails)]
    for mail in truth["messages"]:
        found += _live(mail, told.get(mail["id"], []), is_inbox=is_inbox)
    for mail in truth["deleted"]:
        found += _gone(mail, told.get(mail["id"], []), is_inbox=is_inbox)
    known = {mail["id"] for mail in (*truth["messages"], *truth["deleted"])}
    return found + [f"{message_id}: nobody knows it" for message_id in told.keys() - known]


def _broken_promises(message_id: str, mails: Sequence[Any]) -> Iterator[str]:
    types = [mail.event_type for mail in mails]
    if types[0] != "mail.created" or types.count("mail.created") != 1:
        yield f"{message_id}: {types}"
    if "mail.deleted" in types[:-1]:
        yield f"{message_id}: told after its deletion: {types}"
    versions = [mail.version for mail in mails if mail.event_type == "mail.updated"]
    if len(versions) != len(set(versions)):
        yield f"{message_id}: one version told twice"


def _live(mail: dict[str, Any], mails: Sequence[Any], *, is_inbox: bool) -> Iterator[str]:
    is_google = "labelIds" in mail
    if mail["isDraft"]:
        if mails:
            yield f"{mail['id']}: a draft was told"
        return
    is_there = "INBOX" in mail["labelIds"] if is_google else mail["wellKnownFolder"] == "inbox"
    if not mails:
        if is_there or not is_inbox:
            yield f"{mail['id']}: never told, {mail['subject']}"
        return
    last = mails[-1]
    if last.event_type == "mail.deleted":
        yield f"{mail['id']}: told as deleted and is there"
    elif is_there or not is_inbox:
        yield from _state(mail, last, is_google=is_google)
    elif (set(last.message.label_ids) & {"INBOX"}) if is_google else False:
        yield f"{mail['id']}: told to be in the inbox and is not"


def _state(mail: dict[str, Any], last: Any, *, is_google: bool) -> Iterator[str]:
    message = last.message
    if message.is_read != mail["isRead"]:
        yield f"{mail['id']}: is_read {message.is_read}, version {last.version}"
    if is_google and sorted(message.label_ids) != mail["labelIds"]:
        yield f"{mail['id']}: labels {list(message.label_ids)} and not {mail['labelIds']}"
    if not is_google and (message.folder_id != mail["folderId"] or list(message.categories) != mail["categories"]):
        yield f"{mail['id']}: folder or categories differ"


def _gone(mail: dict[str, Any], mails: Sequence[Any], *, is_inbox: bool) -> Iterator[str]:
    was_there = "INBOX" in mail["labelIds"] if "labelIds" in mail else mail["wellKnownFolder"] == "inbox"
    # A message that no worker could fetch before its deletion may have been a draft.
    if mail["isDraft"] and ("labelIds" in mail or any(told.is_enriched for told in mails)) and mails:
        yield f"{mail['id']}: a draft was told"
    elif mails and (was_there or not is_inbox) and mails[-1].event_type != "mail.deleted":
        yield f"{mail['id']}: gone and last told as {mails[-1].event_type}"
