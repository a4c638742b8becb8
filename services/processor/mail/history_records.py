"""What Gmail's history says of each message: pure reading, no I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from services.processor.mail.state import CREATED, DELETED, UPDATED
from services.processor.mailbox.provider_http import JSON

DRAFT = "DRAFT"


@dataclass
class Trail:
    """What happened to one message in a stretch of history.

    Args:
        message_id: Which.
        was_added: It came into the mailbox.
        was_deleted: It is gone for good.
        steps: Labels that came and went, in order.
        labels: The labels that it had at the end, as the records tell; None when they do not.
        history_id: Of the last record about it.
    """

    message_id: str
    was_added: bool = False
    was_deleted: bool = False
    steps: list[tuple[frozenset[str], frozenset[str]]] = field(default_factory=list)
    labels: frozenset[str] | None = None
    history_id: int = 0


def record_id(record: JSON) -> int:
    """The history id of a record; 64-bit numbers are strings in Gmail's JSON."""
    return int(record.get("id") or 0)


def chunks(records: Sequence[JSON], most: int) -> Iterable[Sequence[JSON]]:
    """Cuts history into stretches that speak of at most so many messages."""
    begin, seen = 0, set[str]()
    for index, record in enumerate(records):
        named = {message_id for message_id, _, _ in _entries(record)}
        if seen and len(seen | named) > most:
            yield records[begin:index]
            begin, seen = index, set()
        seen |= named
    if begin < len(records):
        yield records[begin:]


def trails(records: Iterable[JSON]) -> list[Trail]:
    """Follows each message through a stretch of history, in the order of their first records."""
    found: dict[str, Trail] = {}
    for record in records:
        for message_id, kind, entry in _entries(record):
            trail = found.setdefault(message_id, Trail(message_id))
            trail.history_id = record_id(record)
            _step(trail, kind, entry)
    return list(found.values())


def kinds_of(
    trail: Trail, watched: frozenset[str] | None, labels_now: frozenset[str] | None
) -> tuple[frozenset[str], bool]:
    """Says what a stretch of history means for what is watched.

    Args:
        trail: The message's way through it.
        watched: The labels that are watched; None means all mail.
        labels_now: The message's labels now; None when they could not be had.

    Returns:
        CREATED when it came into what is watched, UPDATED when it was there before, DELETED; empty when it was never
        there. And whether it was there before.
    """
    entered = trail.was_added if watched is None else any(added & watched for added, _ in trail.steps)
    was_watched = not trail.was_added and (
        watched is None or bool(_before(trail, labels_now or trail.labels) & watched)
    )
    kinds = {UPDATED} if was_watched else {CREATED} if entered else set()
    return frozenset(kinds | ({DELETED} if trail.was_deleted else set())), was_watched


def _before(trail: Trail, labels_at_end: frozenset[str] | None) -> frozenset[str]:
    """The labels before the first step: the end's, with every step taken back."""
    labels = set(labels_at_end or ())
    for added, removed in reversed(trail.steps):
        labels = (labels - added) | removed
    return frozenset(labels)


_LISTS = {
    "messagesAdded": "added",
    "messagesDeleted": "deleted",
    "labelsAdded": "labelled",
    "labelsRemoved": "unlabelled",
}


def _entries(record: JSON) -> Iterable[tuple[str, str, JSON]]:
    """The typed lists of a record; its plain `messages` only repeats them."""
    for name, kind in _LISTS.items():
        for entry in record.get(name) or ():
            message_id = str((entry.get("message") or {}).get("id") or "")
            if message_id:
                yield message_id, kind, entry


def _step(trail: Trail, kind: str, entry: JSON) -> None:
    told = (entry.get("message") or {}).get("labelIds")
    trail.labels = frozenset(told) if told is not None else trail.labels
    changed = frozenset(entry.get("labelIds") or ())
    match kind:
        case "added":
            trail.was_added = True
            trail.steps.append((frozenset(told or ()), frozenset()))
        case "deleted":
            trail.was_deleted = True
        case "labelled":
            trail.steps.append((changed, frozenset()))
        case "unlabelled":
            trail.steps.append((frozenset(), changed))
