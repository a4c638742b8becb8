"""The decision about a message that cannot be fetched, or whose report is missing: announced, retried, given up."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.processor.mail.decide import decide
from services.processor.mail.decision import NOTHING
from services.processor.mail.sources.findings import Failed, Found, Missing
from services.processor.mail.state import MessageState, State
from services.processor.mailbox.failures import SourceError, classify
from services.providers.names import MS365
from tests.unit.processor.mail.test_decide import INBOX, LISTED, PATIENCE, types
from tests.unit.processor.makers import NOW, make_hint, make_known, make_mapped


def test_a_failed_fetch_is_tried_again_and_then_goes_out_without_its_message() -> None:
    error = classify(MS365, 500, ["generalException"])
    first = decide(make_hint("created"), Failed(error), None, INBOX, PATIENCE)
    assert [] == types(first)
    assert first.again_at is not None

    last = decide(make_hint("created", attempts=2), Failed(error), None, INBOX, PATIENCE)
    assert ["mail.created"] == types(last)
    why = last.pending[0].not_enriched
    assert why is not None
    assert ("PROVIDER_UNAVAILABLE", 3, False) == (why.reason, why.attempts, why.is_final)
    assert last.again_at is not None


def test_a_message_that_can_never_be_fetched_is_published_at_once_and_not_retried() -> None:
    decision = decide(make_hint("created"), Failed(classify(MS365, 400, ["ErrorCorruptData"])), None, INBOX, PATIENCE)

    why = decision.pending[0].not_enriched
    assert why is not None
    assert (True, None) == (why.is_final, decision.again_at)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (None, ["mail.created"]),
        (make_known(state=State.KNOWN), ["mail.created"]),
        (make_known(state=State.KNOWN, folder_id="elsewhere"), []),
        (make_known(), []),
        (make_known(state=State.DELETED), []),
    ],
)
def test_a_mail_of_a_backfill_that_cannot_be_fetched_is_published_without_its_content(
    known: MessageState | None, expected: list[str]
) -> None:
    failed = Failed(classify(MS365, 400, ["ErrorCorruptData"]))
    decision = decide(make_hint("listed", "backfilled"), failed, known, INBOX, PATIENCE)

    assert expected == types(decision)
    assert [True] * len(expected) == [bool(one.not_enriched) for one in decision.pending]
    assert not expected or (decision.known is not None and decision.known.state is State.ANNOUNCED)


@pytest.mark.parametrize("kind", ["deleted", "updated"])
def test_a_final_failure_that_publishes_nothing_ends_no_lookup_of_a_known_message(kind: str) -> None:
    refused = Failed(classify(MS365, 400, ["BadRequest"]))
    decision = decide(make_hint(kind), refused, make_known(), INBOX, PATIENCE)

    assert [] == types(decision)
    assert decision.again_at is not None
    given_up = make_hint(kind, received_at=NOW - timedelta(days=2))
    assert None is decide(given_up, refused, make_known(), INBOX, PATIENCE).again_at


@pytest.mark.parametrize("status", [400, 403, 503])
@pytest.mark.parametrize("kind", ["created", "updated", "deleted"])
def test_a_report_of_a_deleted_message_that_cannot_be_fetched_creates_no_message(kind: str, status: int) -> None:
    gone, reported = make_known(state=State.DELETED), make_hint(kind, attempts=9, version="7")
    decision = decide(reported, Failed(classify(MS365, status, ["BadRequest"])), gone, INBOX, PATIENCE)

    assert ([], None) == (types(decision), decision.known)
    assert decision.again_at is not None
    assert decision.reported is not None
    assert NOTHING == decide(decision.reported, Missing(is_certain=True), gone, INBOX, PATIENCE)
    assert ["mail.created"] == types(decide(decision.reported, Found(make_mapped()), gone, INBOX, PATIENCE))


def test_a_deletion_of_an_unknown_message_is_told_after_a_final_failure() -> None:
    refused = Failed(classify(MS365, 400, ["BadRequest"]))
    first = decide(make_hint("deleted"), refused, None, LISTED, PATIENCE)
    assert ([], True) == (types(first), first.again_at is not None)

    last = decide(make_hint("deleted", attempts=2), refused, None, LISTED, PATIENCE)
    assert (["mail.created"], True) == (types(last), last.again_at is not None)
    assert last.known is not None
    announced = replace(last.known, open_event_id="e")
    assert last.reported is not None
    assert ["mail.deleted"] == types(decide(last.reported, Missing(is_certain=True), announced, LISTED, PATIENCE))


def test_an_old_notification_goes_out_however_few_the_attempts_were() -> None:
    reported = make_hint("created", received_at=NOW - timedelta(minutes=16))

    assert ["mail.created"] == types(decide(reported, Failed(classify(MS365, 503, [])), None, INBOX, PATIENCE))


def test_an_event_that_went_out_without_its_message_goes_out_once() -> None:
    known = make_known(open_event_id="e", version="")
    decision = decide(make_hint("created", attempts=9), Failed(classify(MS365, 500, [])), known, INBOX, PATIENCE)

    assert [] == types(decision)
    assert decision.again_at is not None


def test_content_that_is_had_later_is_announced_as_enriched() -> None:
    decision = decide(make_hint("created"), Found(make_mapped()), make_known(open_event_id="e"), INBOX, PATIENCE)

    assert [("mail.enriched", "e")] == [(h.event_type, h.enriched_event_id) for h in decision.pending]
    assert decision.known is not None
    assert "" == decision.known.open_event_id


def test_content_is_given_up_after_its_time() -> None:
    reported = make_hint("created", received_at=NOW - timedelta(days=2))
    known = make_known(open_event_id="e", version="")

    assert None is decide(reported, Failed(classify(MS365, 500, [])), known, INBOX, PATIENCE).again_at


def test_waits_grow_and_are_bounded() -> None:
    waits = [(PATIENCE.after(attempts) - NOW).total_seconds() for attempts in range(30)]

    assert all(1.5 * 2**n <= waits[n] <= 2.5 * 2**n for n in range(8))
    assert max(waits) <= 1.25 * 15 * 60


@pytest.mark.parametrize("known", [make_known(version="50"), None], ids=["announced", "never fetched"])
def test_a_deleted_message_keeps_the_version_of_the_report(known: MessageState | None) -> None:
    reported = replace(make_hint("created", "deleted"), version="60")
    decision = decide(reported, Missing(is_certain=True), known, INBOX, PATIENCE)

    assert decision.known is not None
    assert (State.DELETED, "60") == (decision.known.state, decision.known.version)


def test_a_mail_waits_for_its_report_a_bounded_number_of_times() -> None:
    late = classify(MS365, 503, [])
    decisions = [
        decide(make_hint(attempts=attempts), Found(make_mapped(), late), None, INBOX, PATIENCE) for attempts in range(4)
    ]

    assert [[], [], ["mail.created"], ["mail.created"]] == [types(one) for one in decisions]
    assert [1, 2] == [one.reported.attempts for one in decisions if one.reported]
    assert [True, True, False, False] == [one.again_at is not None for one in decisions]


@pytest.mark.parametrize(
    "error",
    [
        classify(MS365, 400, ["ErrorInvalidRequest"]),
        classify(MS365, 404, ["ErrorItemNotFound"]),
        classify(MS365, 503, [], timedelta(hours=1)),
    ],
)
def test_a_mail_does_not_wait_for_a_report_that_comes_never_or_too_late(error: SourceError) -> None:
    assert ["mail.created"] == types(decide(make_hint(), Found(make_mapped(), error), None, INBOX, PATIENCE))


@pytest.mark.parametrize(
    ("age", "asked", "expected"),
    [
        (4, 10, []),
        (6, 10, ["mail.created"]),
        (14, None, []),
        (15, None, ["mail.created"]),
        (99, None, ["mail.created"]),
    ],
)
def test_no_mail_waits_for_its_report_longer_than_an_event_may(
    age: int, asked: int | None, expected: list[str]
) -> None:
    late = classify(MS365, 503, [], None if asked is None else timedelta(minutes=asked))
    reported = make_hint(received_at=NOW - timedelta(minutes=age))

    assert expected == types(decide(reported, Found(make_mapped(), late), None, INBOX, PATIENCE))


def test_a_known_mail_does_not_wait_for_its_report() -> None:
    late = classify(MS365, 503, [])
    assert NOTHING == decide(make_hint("updated"), Found(make_mapped(), late), make_known(), INBOX, PATIENCE)
