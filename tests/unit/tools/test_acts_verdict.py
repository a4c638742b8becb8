"""The comparison of sends after a torture finds each kind of fault."""

from collections import Counter
from typing import Any

import pytest

from mailmesh.processor.v1 import send_service_pb2 as pb2
from tests.mesh.acts_verdict import copy_faults, send_faults
from tests.mesh.torture_acts import Act
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
