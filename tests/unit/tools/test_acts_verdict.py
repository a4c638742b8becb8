"""The comparison of sends after a torture finds each kind of fault."""

from collections import Counter
from typing import Any

import pytest

from mailmesh.processor.v1 import message_service_pb2 as messages
from mailmesh.processor.v1 import send_service_pb2 as pb2
from tests.mesh.acts_verdict import copy_faults, doubt_faults, load_faults, mark_faults, send_faults
from tests.mesh.torture_acts import Act, recorded, reuse_faults
from tests.mesh.verdict import Account

SENT, UNCERTAIN, FAILED = pb2.SEND_STATE_SENT, pb2.SEND_STATE_UNCERTAIN, pb2.SEND_STATE_FAILED
ACT = Act(Account("ms365", "a@contoso.test", "t"), pb2.SendRequest(idempotency_key="k", mail=pb2.NewMail()), {"s"})
DOUBT = {"reason": "SEND_OUTCOME_UNKNOWN", "detail": "no sent copy was found"}


def state(number: "pb2.SendState.ValueType", **fields: Any) -> pb2.Send:
    return pb2.Send(send_id="s", state=number, **fields)


@pytest.mark.parametrize(
    ("send", "mails", "event", "part"),
    [
        (state(SENT), 1, "send.sent", ""),
        (state(UNCERTAIN, **DOUBT), 0, "send.uncertain", ""),
        (state(UNCERTAIN, **DOUBT), 1, "send.uncertain", ""),
        (state(SENT), 2, "send.sent", "arrived 2 times"),
        (state(SENT), 0, "send.sent", "arrived 0 times"),
        (state(UNCERTAIN, **DOUBT), 2, "send.uncertain", "arrived 2 times"),
        (state(UNCERTAIN), 1, "send.uncertain", "without an explanation"),
        (state(SENT), 1, "send.uncertain", "its events are"),
        (state(SENT), 1, "", "its events are"),
        (state(FAILED), 0, "send.failed", "ended as"),
    ],
)
def test_a_send_is_judged_by_its_mails_and_its_event(send: pb2.Send, mails: int, event: str, part: str) -> None:
    told = Counter({("s", event): 1, ("other", "send.sent"): 1}) if event else Counter[tuple[str, str]]()
    found = send_faults(ACT, send, Counter(k=mails), told)

    assert bool(part) == bool(found)
    assert part in "".join(found)


@pytest.mark.parametrize(
    ("subjects", "created", "is_right"), [(["k"], 1, True), (["k", "k"], 1, False), (["k"], 2, False), ([], 1, False)]
)
def test_the_senders_copy_is_one_and_told_once(subjects: list[str], created: int, *, is_right: bool) -> None:
    own = [{"id": str(number), "subject": subject, "isDraft": False} for number, subject in enumerate(subjects)]

    assert is_right == (not copy_faults(ACT, state(SENT), own, Counter(s=created)))


@pytest.mark.parametrize(
    ("sent", "uncertain", "arrived", "part"),
    [
        (8, 2, 0, ""),
        (8, 6, 4, ""),
        (8, 6, 0, "6 of 14 sends are uncertain and never arrived"),
        (0, 2, 2, "none of 2 sends is known as sent"),
        (0, 0, 0, "none of 0 sends"),
    ],
)
def test_doubts_are_few_and_some_sends_are_known(sent: int, uncertain: int, arrived: int, part: str) -> None:
    states: dict[str, int] = {f"sent-{number}": SENT for number in range(sent)}
    states |= {f"doubt-{number}": UNCERTAIN for number in range(uncertain)}
    found = doubt_faults(states, Counter(f"doubt-{number}" for number in range(arrived)))

    assert bool(part) == bool(found)
    assert part in "".join(found)


def test_a_run_with_hardly_any_acts_is_a_fault() -> None:
    assert [] == load_faults(15, 60)
    assert ["there were 14 acts in 60 s, fewer than 15"] == load_faults(14, 60)
    assert load_faults(0, 1)


def test_an_exception_that_ends_a_thread_is_a_fault() -> None:
    wrong: list[str] = []
    recorded(lambda: None, "the load", wrong)()
    assert [] == wrong
    recorded(lambda: wrong.remove("seed"), "the load", wrong)()

    assert ["the load ended: ValueError: list.remove(x): x not in list"] == wrong


def test_other_content_is_refused_for_its_own_reason() -> None:
    assert [] == reuse_faults("k", "IDEMPOTENCY_KEY_REUSED", "")
    assert ["k with other content: KEY_LACKS_ABILITY the key may not"] == reuse_faults(
        "k", "KEY_LACKS_ABILITY", "the key may not"
    )


DONE, ABSENT, REFUSED = (
    messages.MESSAGE_OUTCOME_DONE,
    messages.MESSAGE_OUTCOME_NOT_FOUND,
    messages.MESSAGE_OUTCOME_REFUSED,
)


@pytest.mark.parametrize("field", ["add_categories", "add_label_ids"])
@pytest.mark.parametrize(
    ("outcomes", "mails", "part"),
    [
        ({"a": DONE, "b": DONE}, {"a": ["k", "other"], "b": ["k"]}, ""),
        ({"a": DONE, "b": ABSENT}, {"a": ["k"]}, ""),
        ({"a": DONE, "b": DONE}, {"a": ["k"], "b": ["other"]}, "b does not have the mark"),
        ({"a": DONE, "b": ABSENT}, {"a": ["k"], "b": []}, "b is there, and was not found"),
        ({"a": DONE, "b": REFUSED}, {"a": ["k"], "b": ["k"]}, "b ended as"),
        ({"a": DONE}, {"a": ["k"], "b": []}, "has outcomes of ['a']"),
    ],
)
def test_each_mail_of_a_mark_has_it(field: str, outcomes: dict[str, Any], mails: dict[str, Any], part: str) -> None:
    change = messages.MessageChange(**{field: ["k"]})  # type: ignore[arg-type]
    request = messages.ModifyMessagesRequest(idempotency_key="k", message_ids=["a", "b"], change=change)
    results = [messages.ModifiedMessage(message_id=one, outcome=outcome) for one, outcome in outcomes.items()]
    shown = "categories" if field == "add_categories" else "labelIds"
    own = [{"id": one, "isFlagged": True, shown: marks} for one, marks in mails.items()]
    found = mark_faults(Act(ACT.account, request), messages.Modification(messages=results), own)

    assert bool(part) == bool(found)
    assert part in "".join(found)
