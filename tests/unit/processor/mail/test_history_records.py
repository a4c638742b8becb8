"""Reading changes of messages from Gmail's history."""

from services.processor.mail.history_records import chunks, kinds_of, trails
from services.processor.mailbox.provider_http import JSON

INBOX = frozenset({"INBOX"})


def record(
    number: int, name: str, message_id: str, labels: tuple[str, ...] = (), now: tuple[str, ...] | None = None
) -> JSON:
    """Return a record with one entry; `now` are the labels after the change, where Gmail reports them."""
    message: JSON = {"id": message_id} if now is None else {"id": message_id, "labelIds": list(now)}
    entry: JSON = {"message": message}
    if labels:
        entry["labelIds"] = list(labels)
    return {"id": str(number), "messages": [{"id": message_id}], name: [entry]}


def told(
    *records: JSON, labels_now: frozenset[str] | None, watched: frozenset[str] | None = INBOX
) -> tuple[frozenset[str], bool]:
    """Return the meaning of a range of the history for one message."""
    return kinds_of(trails(records)[0], watched, labels_now)


def test_a_mail_added_with_a_watched_label_is_created() -> None:
    assert (frozenset({"created"}), False) == told(record(1, "messagesAdded", "m", now=("INBOX",)), labels_now=INBOX)


def test_a_mail_added_and_archived_at_once_was_there_nevertheless() -> None:
    stretch = (record(1, "messagesAdded", "m", now=("INBOX",)), record(2, "labelsRemoved", "m", ("INBOX",)))

    assert (frozenset({"created"}), False) == told(*stretch, labels_now=frozenset())


def test_a_mail_that_enters_the_watched_label_is_created() -> None:
    assert (frozenset({"created"}), False) == told(record(1, "labelsAdded", "m", ("INBOX",)), labels_now=INBOX)


def test_a_change_of_a_mail_that_was_there_is_an_update() -> None:
    assert (frozenset({"updated"}), True) == told(
        record(1, "labelsAdded", "m", ("STARRED",)), labels_now=INBOX | {"STARRED"}
    )
    assert (frozenset({"updated"}), True) == told(record(1, "labelsRemoved", "m", ("INBOX",)), labels_now=frozenset())


def test_a_mail_that_left_and_came_back_was_there() -> None:
    stretch = (record(1, "labelsRemoved", "m", ("INBOX",)), record(2, "labelsAdded", "m", ("INBOX",)))

    assert (frozenset({"updated"}), True) == told(*stretch, labels_now=INBOX)


def test_changes_outside_the_watched_labels_are_ignored() -> None:
    assert (frozenset(), False) == told(record(1, "labelsAdded", "m", ("STARRED",)), labels_now=frozenset({"STARRED"}))


def test_all_mail_watches_messages_with_any_labels() -> None:
    assert (frozenset({"created"}), False) == told(
        record(1, "messagesAdded", "m", now=("SPAM",)), labels_now=frozenset({"SPAM"}), watched=None
    )
    assert (frozenset({"updated"}), True) == told(
        record(1, "labelsAdded", "m", ("STARRED",)), labels_now=frozenset({"STARRED"}), watched=None
    )


def test_a_deletion_is_judged_by_the_earlier_labels() -> None:
    stretch = (record(1, "messagesAdded", "m", now=("INBOX",)), record(2, "messagesDeleted", "m", now=("INBOX",)))

    assert (frozenset({"created", "deleted"}), False) == told(*stretch, labels_now=None)


def test_stretches_hold_a_bounded_number_of_messages_and_every_record_once() -> None:
    records = [record(number, "labelsAdded", f"m{number // 2}", ("A",)) for number in range(20)]
    cut = list(chunks(records, 3))

    assert records == [one for stretch in cut for one in stretch]
    assert all(len({one["messages"][0]["id"] for one in stretch}) <= 3 for stretch in cut)


def test_plain_messages_beside_the_typed_lists_are_not_counted_twice() -> None:
    assert 1 == len(
        trails([{"id": "1", "messages": [{"id": "m"}, {"id": "n"}], "messagesAdded": [{"message": {"id": "m"}}]}])
    )
