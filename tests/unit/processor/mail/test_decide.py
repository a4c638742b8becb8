"""The decision about a message: every row of the table of reported change, fetched message and known state."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mailmesh.mail.v1 import message_pb2
from services.processor.mail.coverage import Coverage
from services.processor.mail.decide import decide
from services.processor.mail.decision import NOTHING, Decision
from services.processor.mail.field_digests import digests_of
from services.processor.mail.sources.findings import Failed, Found, Missing
from services.processor.mail.state import State
from services.processor.mailbox.failures import classify
from services.providers.names import GOOGLEWS, MS365
from tests.unit.processor.makers import NOW, make_hint, make_known, make_mapped, make_patience, make_watch

INBOX = Coverage(MS365, [make_watch("inbox")], {"inbox": "inbox-id"})
LISTED = Coverage(MS365, [make_watch("inbox")], {"inbox": "inbox-id"}, {"inbox-id"})
OLD = NOW - timedelta(days=9)
PATIENCE = make_patience()


def types(decision: Decision) -> list[str]:
    """Return the types of the events of a decision."""
    return [event_to_publish.event_type for event_to_publish in decision.pending]


@pytest.mark.parametrize("kind", ["created", "updated", "deleted", "listed"])
def test_new_mail_is_created_for_every_reported_change(kind: str) -> None:
    assert ["mail.created"] == types(decide(make_hint(kind), Found(make_mapped()), None, INBOX, PATIENCE))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("created", ["mail.created"]), ("updated", ["mail.updated"]), ("deleted", ["mail.updated"]), ("listed", [])],
)
def test_old_mail_is_created_only_when_it_moved_into_a_watched_folder(kind: str, expected: list[str]) -> None:
    decision = decide(make_hint(kind), Found(make_mapped(received_at=OLD)), None, INBOX, PATIENCE)

    assert expected == types(decision)
    assert decision.known is not None
    assert (State.ANNOUNCED if expected else State.KNOWN) is decision.known.state


def test_once_a_folder_was_listed_an_unknown_message_is_new_at_any_age() -> None:
    assert ["mail.created"] == types(
        decide(make_hint("updated"), Found(make_mapped(received_at=OLD)), None, LISTED, PATIENCE)
    )


def test_a_published_version_is_not_published_again() -> None:
    assert NOTHING == decide(make_hint("updated"), Found(make_mapped()), make_known(), INBOX, PATIENCE)


def test_an_update_names_the_fields_the_labels_and_the_folder_that_differ() -> None:
    before = make_known(
        digests=digests_of(message_pb2.MailMessage(subject="Offer")), label_ids=("A",), folder_id="elsewhere"
    )
    mapped = make_mapped(version="2", message=message_pb2.MailMessage(subject="Offer", is_read=True), label_ids=("B",))
    change = decide(make_hint("updated"), Found(mapped), before, INBOX, PATIENCE).pending[0].change

    assert change is not None
    assert ["is_read"] == list(change.fields)
    assert (["B"], ["A"], "elsewhere") == (
        list(change.label_ids_added), list(change.label_ids_removed), change.previous_folder_id,
    )  # fmt: skip


def test_a_move_between_unwatched_folders_is_not_published() -> None:
    decision = decide(
        make_hint("updated"), Found(make_mapped(version="2", folder_id="b")), make_known(folder_id="a"), INBOX, PATIENCE
    )

    assert [] == types(decision)
    assert decision.known is not None
    assert "2" == decision.known.version


def test_change_types_that_no_subscription_wants_are_recorded_and_not_published() -> None:
    coverage = Coverage(MS365, [make_watch("inbox", kinds=["deleted"])], {"inbox": "inbox-id"})
    decision = decide(make_hint("created"), Found(make_mapped()), None, coverage, PATIENCE)

    assert [] == types(decision)
    assert decision.known is not None
    assert State.KNOWN is decision.known.state


def test_an_update_stays_an_update_where_no_subscription_wants_created_events() -> None:
    coverage = Coverage(MS365, [make_watch("inbox", kinds=["updated"])], {"inbox": "inbox-id"})

    assert ["mail.updated"] == types(decide(make_hint("updated"), Found(make_mapped()), None, coverage, PATIENCE))


@pytest.mark.parametrize("provider", [MS365, GOOGLEWS])
def test_a_draft_is_an_event_only_where_the_setting_asks_for_it(provider: str) -> None:
    found = Found(make_mapped(is_draft=True))

    assert [] == types(decide(make_hint(), found, None, Coverage(provider), PATIENCE))
    with_drafts = Coverage(provider, has_draft_events=True)
    assert ["mail.created"] == types(decide(make_hint(), found, None, with_drafts, PATIENCE))


def test_forty_saves_and_a_discarded_draft_make_no_event() -> None:
    coverage, known = Coverage(MS365), None
    for save in range(40):
        draft = Found(make_mapped(is_draft=True, version=str(save)))
        decision = decide(make_hint("created" if not save else "updated"), draft, known, coverage, PATIENCE)
        assert [] == types(decision)
        known = decision.known

    gone = decide(make_hint("deleted"), Missing(is_certain=True), known, coverage, PATIENCE)
    assert [] == types(gone)
    assert gone.known is not None
    assert State.DELETED is gone.known.state


@pytest.mark.parametrize("kind", ["created", "updated", "deleted", "listed"])
def test_the_mail_that_a_draft_became_is_created_once(kind: str) -> None:
    coverage = Coverage(MS365)
    draft = decide(make_hint(), Found(make_mapped(is_draft=True, received_at=OLD)), None, coverage, PATIENCE).known
    sent = Found(make_mapped(version="2", folder_id="sent"))
    first = decide(make_hint(kind), sent, draft, coverage, PATIENCE)

    assert [("mail.created", 1)] == [(event.event_type, event.generation) for event in first.pending]
    assert NOTHING == decide(make_hint(kind), sent, first.known, coverage, PATIENCE)


def test_a_draft_from_before_drafts_made_events_is_created_when_it_is_saved_again() -> None:
    silent = decide(make_hint(), Found(make_mapped(is_draft=True)), None, INBOX, PATIENCE).known
    saved = Found(make_mapped(is_draft=True, version="2"))
    first = decide(make_hint("updated"), saved, silent, replace(INBOX, has_draft_events=True), PATIENCE)

    assert [("mail.created", 1)] == [(event.event_type, event.generation) for event in first.pending]


def test_a_draft_that_an_earlier_release_told_of_begins_another_generation_when_it_is_sent() -> None:
    told = make_known(digests=digests_of(message_pb2.MailMessage(subject="Offer", is_draft=True)))
    saved = Found(make_mapped(is_draft=True, version="2"))
    again = decide(make_hint("updated"), saved, told, INBOX, PATIENCE)
    sent = decide(make_hint("updated"), Found(make_mapped(version="3")), again.known, INBOX, PATIENCE)

    assert [] == types(again)
    assert [("mail.created", 2)] == [(event.event_type, event.generation) for event in sent.pending]


def test_a_draft_that_an_earlier_release_recorded_as_old_mail_is_created_when_it_is_sent() -> None:
    recorded = make_known(state=State.KNOWN, mail_received_at=OLD)
    sent = decide(make_hint("updated"), Found(make_mapped(version="2")), recorded, INBOX, PATIENCE)
    changed = decide(make_hint("updated"), Found(make_mapped(version="2", received_at=OLD)), recorded, INBOX, PATIENCE)

    assert [("mail.created", 1)] == [(event.event_type, event.generation) for event in sent.pending]
    assert ["mail.updated"] == types(changed)


def test_a_draft_that_cannot_be_fetched_is_told_only_once_it_may_be_sent() -> None:
    draft = decide(make_hint(), Found(make_mapped(is_draft=True)), None, INBOX, PATIENCE).known
    failed = Failed(classify(MS365, 500, ["generalException"]))

    assert [] == types(decide(make_hint("updated", attempts=2, version="2"), failed, draft, INBOX, PATIENCE))
    assert ["mail.created"] == types(decide(make_hint("created", attempts=2), failed, draft, INBOX, PATIENCE))


def test_a_restored_mail_begins_another_life() -> None:
    decision = decide(make_hint(), Found(make_mapped()), make_known(state=State.DELETED), INBOX, PATIENCE)

    assert [("mail.created", 2)] == [
        (event_to_publish.event_type, event_to_publish.generation) for event_to_publish in decision.pending
    ]


def test_a_missing_message_is_looked_up_until_the_wait_is_over() -> None:
    first = decide(make_hint("created"), Missing(), None, INBOX, PATIENCE)
    assert first.again_at is not None
    assert first.reported is not None
    assert ([], NOW) == (types(first), first.reported.missing_since)
    assert NOW < first.again_at < NOW + timedelta(seconds=1)

    later = make_patience(now=NOW + timedelta(minutes=3))
    assert ["mail.created", "mail.deleted"] == types(decide(first.reported, Missing(), None, INBOX, later))


def test_a_deletion_is_believed_when_the_wait_is_over() -> None:
    first = decide(make_hint("deleted"), Missing(), make_known(), INBOX, PATIENCE)
    assert first.reported is not None
    assert NOW + timedelta(minutes=3) == first.again_at

    later = make_patience(now=NOW + timedelta(minutes=3))
    last = decide(first.reported, Missing(), make_known(), INBOX, later)
    assert ["mail.deleted"] == types(last)
    assert last.known is not None
    assert State.DELETED is last.known.state


def test_a_deletion_that_the_provider_confirms_is_published_at_once() -> None:
    assert ["mail.deleted"] == types(
        decide(make_hint("deleted"), Missing(is_certain=True), make_known(), INBOX, PATIENCE)
    )


def test_a_deletion_of_old_mail_is_published_without_a_created_event() -> None:
    gone = Missing(is_certain=True)

    assert ["mail.deleted"] == types(decide(make_hint("deleted"), gone, None, INBOX, PATIENCE))
    assert ["mail.created", "mail.deleted"] == types(decide(make_hint("deleted"), gone, None, LISTED, PATIENCE))


def test_where_all_mail_is_watched_an_unknown_mail_is_new_only_when_every_folder_was_listed() -> None:
    gone, some = Missing(is_certain=True), Coverage(MS365, [make_watch()], {}, {"inbox-id"})

    assert ["mail.deleted"] == types(decide(make_hint("deleted"), gone, None, some, PATIENCE))
    every = replace(some, is_all_listed=True)
    assert ["mail.created", "mail.deleted"] == types(decide(make_hint("deleted"), gone, None, every, PATIENCE))


def test_a_deletion_is_published_once() -> None:
    gone = make_known(state=State.DELETED)

    assert NOTHING == decide(make_hint("deleted"), Missing(is_certain=True), gone, INBOX, PATIENCE)
