"""The faults after a torture: the events against the truth in the simulated mailboxes, and against a consumer."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from mailmesh.processor.v1 import event_pb2
from tests.mesh.accounts import all_events
from tests.programs.mesh import Mesh, eventually


@dataclass
class Account:
    """A simulated mailbox and its tenant."""

    provider: str
    address: str
    tenant_id: str
    mails: list[str] = field(default_factory=list)


def all_faults(mesh: Mesh, accounts: Sequence[Account]) -> list[str]:
    """Compares all mailboxes with their events."""
    return [sentence for account in accounts for sentence in faults_of(mesh, account)]


def faults_of(mesh: Mesh, account: Account) -> list[str]:
    """Compares one mailbox with its events. Returns sentences about what does not agree."""
    truth = mesh.simulator.truth(account.address)
    events = all_events(mesh, account.tenant_id)
    told: dict[str, list[Any]] = defaultdict(list)
    for event in events:
        told[event.mail.message_id].append(event.mail)
    found = [sentence for message_id, mails in told.items() for sentence in _order_faults(message_id, mails)]
    for mail in truth["messages"]:
        if mail["isDraft"]:
            continue
        found += _state_faults(account, mail, told.get(mail["id"], []))
    found += [
        f"{mail['id']} is deleted, and its last event is {told[mail['id']][-1].event_type}"
        for mail in truth["deleted"]
        if mail["id"] in told and told[mail["id"]][-1].event_type != "mail.deleted"
    ]
    ids = Counter(event.mail.event_id for event in events)
    return found + [f"event {event_id} is stored {count} times" for event_id, count in ids.items() if count > 1]


def _order_faults(message_id: str, mails: list[Any]) -> list[str]:
    created = Counter(mail.generation for mail in mails if mail.event_type == "mail.created")
    found = [f"{message_id} was created {count} times in life {life}" for life, count in created.items() if count > 1]
    for life in {mail.generation for mail in mails}:
        types = [mail.event_type for mail in mails if mail.generation == life]
        if types[0] != "mail.created":
            found.append(f"{message_id} begins life {life} with {types[0]}")
        if "mail.deleted" in types[:-1]:
            found.append(f"{message_id} goes on after its deletion in life {life}: {types}")
    return found


def _state_faults(account: Account, mail: dict[str, Any], told: list[Any]) -> list[str]:
    if not told:
        return [f"{mail['id']} ({mail['subject']}) of {account.address} was never told"]
    enriched = [event for event in told if event.is_enriched]
    if not enriched:
        return [f"{mail['id']} was never enriched"]
    last = enriched[-1].message
    found = []
    if last.is_read != mail["isRead"]:
        found.append(f"{mail['id']} is read: {mail['isRead']}, told: {last.is_read}")
    if account.provider == "ms365" and last.folder_id != mail["folderId"]:
        found.append(f"{mail['id']} is in {mail['folder']}, told: {last.folder_id}")
    if account.provider == "googlews" and sorted(last.label_ids) != mail["labelIds"]:
        found.append(f"{mail['id']} has {mail['labelIds']}, told: {sorted(last.label_ids)}")
    return found


def consumer_faults(mesh: Mesh, accounts: Sequence[Account], seen: Sequence[event_pb2.Event]) -> list[str]:
    """Compares the events that the cut-off consumer saw with the stored ones: none missing, in order per message."""
    stored = [event for account in accounts for event in all_events(mesh, account.tenant_id)]
    wanted = {event.mail.event_id for event in stored}

    def unseen() -> set[str]:
        return wanted - {event.mail.event_id for event in seen if event.HasField("mail")}

    with suppress(AssertionError):
        eventually(lambda: not unseen(), 30.0)
    found = [f"the consumer never saw {event_id}" for event_id in unseen()]
    first_seen = {}
    for number, event in enumerate(seen):
        if event.HasField("mail"):
            first_seen.setdefault(event.mail.event_id, number)
    before: dict[str, int] = {}
    for event in stored:
        key = f"{event.mail.tenant_id}/{event.mail.message_id}"
        number = first_seen.get(event.mail.event_id, -1)
        if 0 <= number < before.get(key, -1):
            found.append(f"the consumer saw {event.mail.event_id} before an earlier event of its message")
        before[key] = max(number, before.get(key, -1))
    return found
