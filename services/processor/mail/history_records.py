"""Read Gmail's history records into one trail for each message: pure, no I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from services.processor.mail.state import CREATED, DELETED, UPDATED
from services.processor.mailbox.provider_http import JSON

DRAFT = "DRAFT"


@dataclass
class Trail:
    """The changes of one message in a stretch of history.

    Args:
        message_id: The message's id.
        was_added: Whether it came into the mailbox.
        was_deleted: Whether it was deleted permanently.
        steps: The labels added and removed, in order.
        labels: The labels at the end, as the records state them; None when they do not.
        history_id: The id of the last record about it.
    """

    message_id: str
    was_added: bool = False
    was_deleted: bool = False
    steps: list[tuple[frozenset[str], frozenset[str]]] = field(default_factory=list)
    labels: frozenset[str] | None = None
    history_id: int = 0


def record_id(record: JSON) -> int:
    """Return the history id of a record; 64-bit numbers are strings in Gmail's JSON."""
    return int(record.get("id") or 0)


def chunks(records: Sequence[JSON], most: int) -> Iterable[Sequence[JSON]]:
    """Cut history into stretches of at most so many messages."""
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
    """Return the trail of each message through a stretch of history, in the order of their first records."""
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
    """Return the meaning of a stretch of history for the watched labels.

    Args:
        trail: The message's trail through the stretch.
        watched: The watched labels; None means all mail.
        labels_now: The message's labels now; None when they could not be fetched.

    Returns:
        CREATED when the message entered a watched label, UPDATED when it had one before, DELETED; empty when it never
        had one. And whether it had one before.
    """
    entered = trail.was_added if watched is None else any(added & watched for added, _ in trail.steps)
    was_watched = not trail.was_added and (
        watched is None or bool(_before(trail, labels_now or trail.labels) & watched)
    )
    kinds = {UPDATED} if was_watched else {CREATED} if entered else set()
    return frozenset(kinds | ({DELETED} if trail.was_deleted else set())), was_watched


def _before(trail: Trail, labels_at_end: frozenset[str] | None) -> frozenset[str]:
    """Return the labels before the first step: those at the end, with each step reverted."""
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
    """Return the typed lists of a record; its plain `messages` only repeats them."""
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
