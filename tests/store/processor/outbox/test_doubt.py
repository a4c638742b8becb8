"""A send is one mail or uncertain, and never two mails, after any answer and wherever its worker dies."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.processor.outbox.rows import State
from services.processor.worker import running
from tests.store.processor.ground import PATIENCE, Ground
from tests.store.processor.outbox.sending import HASTE, Outgoing
from tests.store.processor.workers import end_holds, worker_process

pytestmark = pytest.mark.timeout(300)

SEND, CREATE = "graph.messages.send", "graph.messages.create"
ONCE = {"count": 1}
FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "accepted, and the answer dropped": ("close", {"endpoint": SEND, "phase": "after", **ONCE}),
    "accepted, and answered 500": ("status", {"endpoint": SEND, "status": 500, "phase": "after", **ONCE}),
    "accepted, and answered 503 with a time": (
        "status",
        {"endpoint": SEND, "status": 503, "retry_after": 1, "phase": "after", **ONCE},
    ),
    "accepted, and answered 200": ("status", {"endpoint": SEND, "status": 200, "phase": "after", **ONCE}),
    "answered 200, and not taken": ("status", {"endpoint": SEND, "status": 200, **ONCE}),
    "accepted with a time to wait": (
        "status",
        {"endpoint": SEND, "status": 202, "retry_after": 600, "phase": "after", **ONCE},
    ),
    "not accepted, and answered 504": ("status", {"endpoint": SEND, "status": 504, **ONCE}),
    "throttled": ("status", {"endpoint": SEND, "status": 429, "retry_after": 1, **ONCE}),
    "a token refused": ("status", {"endpoint": SEND, "status": 401, **ONCE}),
    "a draft made, and its answer dropped": ("close", {"endpoint": CREATE, "phase": "after", **ONCE}),
    "a draft made, and answered 500": ("status", {"endpoint": CREATE, "status": 500, "phase": "after", **ONCE}),
    "a draft not made": ("status", {"endpoint": CREATE, "status": 503, **ONCE}),
}
KNOBS: dict[str, dict[str, Any]] = {
    "ids kept": {},
    "ids dead after the send": {"graph_sent_ids": "changed"},
    "late copy": {"graph_sent_copy_seconds": 4, "graph_sent_ids": "changed"},
}


DEAD, LATE, KEPT = "ids dead after the send", "late copy", "ids kept"
CASES = [
    *((fault, DEAD) for fault in FAULTS),
    *((fault, LATE) for fault in FAULTS if fault.startswith("accepted")),
    *((fault, KEPT) for fault in FAULTS if "500" in fault),
]
"""Each fault where the draft's id dies, which is the worst; the other ways of the provider where they matter."""


@pytest.mark.parametrize(("fault", "knobs"), CASES)
async def test_a_fault_of_the_provider_makes_no_second_mail(ground: Ground, fault: str, knobs: str) -> None:
    outgoing = await Outgoing.of(ground)
    kind, facts = FAULTS[fault]
    await ground.control.set(**KNOBS[knobs])
    await ground.control.add_fault(kind, account=outgoing.tenant.address, **facts)
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)

    await _is_one_mail(outgoing, sent.send_id)


KILLS: dict[str, tuple[str, str]] = {
    "before the draft": (CREATE, "before"),
    "after the draft": (CREATE, "after"),
    "before the submission": (SEND, "before"),
    "after the submission": (SEND, "after"),
    "before the copy is looked up": ("graph.messages.get", "before"),
}


@pytest.mark.parametrize("knobs", ["ids kept", "ids dead after the send"])
@pytest.mark.parametrize("step", KILLS)
async def test_a_send_is_one_mail_wherever_its_worker_dies(
    ground: Ground, tmp_path: Path, step: str, knobs: str
) -> None:
    outgoing = await Outgoing.of(ground)
    await ground.control.set(**KNOBS[knobs])
    endpoint, phase = KILLS[step]
    await ground.control.add_fault("hang", endpoint=endpoint, account=outgoing.tenant.address, phase=phase, seconds=90)
    row = await outgoing.accept()
    with worker_process(ground, tmp_path, **HASTE) as worker:
        await ground.until(lambda: _has_struck(ground), PATIENCE)
        worker.kill()
        await asyncio.to_thread(worker.wait, 30)
    await ground.control.clear_faults()
    await end_holds(ground)
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)

    await _is_one_mail(outgoing, sent.send_id)


ANSWER = "graph.messages.create_reply"
CONTENT = "graph.messages.update"
DISCARD = "graph.messages.permanent_delete"
ANSWER_STEPS: dict[str, tuple[str, str]] = {
    "before Exchange prepares it": (ANSWER, "before"),
    "after Exchange has prepared it": (ANSWER, "after"),
    "after its content and its mark": (CONTENT, "after"),
    "after the submission": (SEND, "after"),
}


@pytest.mark.parametrize("step", ANSWER_STEPS)
async def test_an_answer_is_one_mail_and_no_draft_wherever_its_worker_dies(
    ground: Ground, tmp_path: Path, step: str
) -> None:
    outgoing = await Outgoing.of(ground)
    endpoint, phase = ANSWER_STEPS[step]
    await ground.control.add_fault("hang", endpoint=endpoint, account=outgoing.tenant.address, phase=phase, seconds=90)
    row = await outgoing.answer()
    with worker_process(ground, tmp_path, **HASTE) as worker:
        await ground.until(lambda: _has_struck(ground), PATIENCE)
        worker.kill()
        await asyncio.to_thread(worker.wait, 30)
    await ground.control.clear_faults()
    await end_holds(ground)
    async with running(ground.worker_settings(**HASTE)):
        await outgoing.ended(row.send_id)

    await _is_one_answer(outgoing, row.send_id)


async def test_a_worker_that_dies_while_it_clears_a_spare_leaves_no_draft(ground: Ground, tmp_path: Path) -> None:
    outgoing = await Outgoing.of(ground)
    account = outgoing.tenant.address
    await ground.control.add_fault("close", endpoint=ANSWER, account=account, phase="after", count=1)
    await ground.control.add_fault("hang", endpoint=DISCARD, account=account, seconds=90)
    row = await outgoing.answer()
    with worker_process(ground, tmp_path, **HASTE) as worker:
        await ground.until(lambda: _has_struck(ground, DISCARD), PATIENCE)
        worker.kill()
        await asyncio.to_thread(worker.wait, 30)
    await ground.control.clear_faults()
    await end_holds(ground)
    async with running(ground.worker_settings(**HASTE)):
        await outgoing.ended(row.send_id)

    await _is_one_answer(outgoing, row.send_id)


@pytest.mark.parametrize(("status", "left"), [(503, 0), (403, 1)])
async def test_a_spare_is_deleted_before_the_answer_unless_that_is_refused(
    ground: Ground, status: int, left: int
) -> None:
    outgoing = await Outgoing.of(ground)
    account = outgoing.tenant.address
    await ground.control.add_fault("status", endpoint=ANSWER, account=account, status=500, phase="after", count=1)
    await ground.control.add_fault("status", endpoint=DISCARD, account=account, status=status, count=1)
    row = await outgoing.answer()
    async with running(ground.worker_settings(**HASTE)):
        await outgoing.ended(row.send_id)

    assert ["RE: Offer"] == [mail["subject"] for mail in await outgoing.received()]
    assert left == len(await outgoing.own(drafts=True))


@pytest.mark.parametrize(
    "fault",
    [
        ("close", {"endpoint": ANSWER, "phase": "after", **ONCE}),
        ("status", {"endpoint": ANSWER, "status": 500, "phase": "after", **ONCE}),
        ("close", {"endpoint": CONTENT, "phase": "after", **ONCE}),
        ("status", {"endpoint": CONTENT, "status": 412, **ONCE}),
        ("close", {"endpoint": SEND, "phase": "after", **ONCE}),
    ],
)
async def test_a_fault_makes_no_second_answer(ground: Ground, fault: tuple[str, dict[str, Any]]) -> None:
    outgoing = await Outgoing.of(ground)
    await ground.control.set(graph_sent_ids="changed")
    await ground.control.add_fault(fault[0], account=outgoing.tenant.address, **fault[1])
    row = await outgoing.answer()
    async with running(ground.worker_settings(**HASTE)):
        await outgoing.ended(row.send_id)

    await _is_one_answer(outgoing, row.send_id)


async def _is_one_answer(outgoing: Outgoing, send_id: str) -> None:
    row = await outgoing.read(send_id)
    assert State.SENT is row.state, row
    assert ["RE: Offer"] == [mail["subject"] for mail in await outgoing.received()]
    assert [] == await outgoing.own(drafts=True)
    assert ["send.sent"] == [event.event_type for event in await outgoing.events()]


GOOGLE_SEND, GOOGLE_CREATE = "gmail.drafts.send", "gmail.drafts.create"
GOOGLE_FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "accepted, and answered 500": ("status", {"endpoint": GOOGLE_SEND, "status": 500, "phase": "after", **ONCE}),
    "accepted, and answered 503 with a time": (
        "status",
        {"endpoint": GOOGLE_SEND, "status": 503, "retry_after": 1, "phase": "after", **ONCE},
    ),
    "answered 200, and not taken": ("status", {"endpoint": GOOGLE_SEND, "status": 200, **ONCE}),
    "not accepted, and answered 504": ("status", {"endpoint": GOOGLE_SEND, "status": 504, **ONCE}),
    "throttled": ("status", {"endpoint": GOOGLE_SEND, "status": 429, "retry_after": 1, **ONCE}),
    "a token refused": ("status", {"endpoint": GOOGLE_SEND, "status": 401, **ONCE}),
    "a draft made, and answered 500": (
        "status",
        {"endpoint": GOOGLE_CREATE, "status": 500, "phase": "after", **ONCE},
    ),
}


@pytest.mark.parametrize(
    ("fault", "ids"),
    [*((fault, "changed") for fault in GOOGLE_FAULTS), ("accepted, and answered 500", "kept")],
)
async def test_a_fault_of_gmail_makes_no_second_mail(ground: Ground, fault: str, ids: str) -> None:
    outgoing = await Outgoing.of(ground, "googlews", labels=())
    kind, facts = GOOGLE_FAULTS[fault]
    await ground.control.set(gmail_sent_draft_ids=ids)
    await ground.control.add_fault(kind, account=outgoing.tenant.address, **facts)
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)

    await _is_one_mail(outgoing, sent.send_id)


GOOGLE_KILLS: dict[str, tuple[str, str]] = {
    "before the anchor": ("gmail.profile", "after"),
    "before the draft": (GOOGLE_CREATE, "before"),
    "after the draft": (GOOGLE_CREATE, "after"),
    "before the submission": (GOOGLE_SEND, "before"),
    "after the submission": (GOOGLE_SEND, "after"),
    "before the copy is looked up": ("gmail.messages.get", "before"),
}


@pytest.mark.parametrize("step", GOOGLE_KILLS)
async def test_a_send_of_gmail_is_one_mail_wherever_its_worker_dies(ground: Ground, tmp_path: Path, step: str) -> None:
    outgoing = await Outgoing.of(ground, "googlews", labels=())
    endpoint, phase = GOOGLE_KILLS[step]
    await ground.control.add_fault("hang", endpoint=endpoint, account=outgoing.tenant.address, phase=phase, seconds=90)
    row = await outgoing.accept()
    with worker_process(ground, tmp_path, **HASTE) as worker:
        await ground.until(lambda: _has_struck(ground), PATIENCE)
        worker.kill()
        await asyncio.to_thread(worker.wait, 30)
    await ground.control.clear_faults()
    await end_holds(ground)
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)

    await _is_one_mail(outgoing, sent.send_id)


async def test_a_history_that_gmail_has_dropped_leaves_a_submitted_mail_uncertain(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground, "googlews", labels=())
    account = outgoing.tenant.address
    await ground.control.add_fault("status", endpoint=GOOGLE_SEND, status=504, phase="after", count=1)
    await ground.control.add_fault("status", endpoint="gmail.history.list", status=503, account=account)
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE)):
        await ground.until(lambda: _is_submitted(outgoing, row.send_id))
        await ground.control.expire_history(account)
        await ground.control.clear_faults()
        uncertain = await outgoing.ended(row.send_id)

    assert (State.UNCERTAIN, "SEND_OUTCOME_UNKNOWN") == (uncertain.state, uncertain.reason)
    assert "history does not reach back" in uncertain.detail
    assert (1, ["send.uncertain"]) == (
        len(await outgoing.received()), [event.event_type for event in await outgoing.events()]
    )  # fmt: skip


async def test_a_query_that_fails_is_not_a_mail_that_was_not_sent(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    await ground.control.add_fault("status", endpoint=SEND, status=504, phase="after", count=1)
    for endpoint in ("graph.messages.get", "graph.messages.list"):
        await ground.control.add_fault("status", endpoint=endpoint, status=500, account=outgoing.tenant.address)
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE)):
        # Longer than the time after which a draft that is found is submitted again.
        await asyncio.sleep(2 * HASTE["send_settle_seconds"])
        unknown = await outgoing.read(row.send_id)
        submissions = await ground.control.call_count(endpoint=SEND, account=outgoing.tenant.address)
        await ground.control.clear_faults()
        sent = await outgoing.ended(row.send_id)

    assert (State.SENDING, 1) == (unknown.state, submissions)
    await _is_one_mail(outgoing, sent.send_id)


async def test_a_mail_that_leaves_no_trace_is_uncertain_and_never_sent_again_alone(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    row = await _uncertain(ground, outgoing)

    assert ("SEND_OUTCOME_UNKNOWN", "Thirty euros.") == (row.reason, row.content.mail.text)
    assert ["send.uncertain"] == [event.event_type for event in await outgoing.events()]
    async with running(ground.worker_settings(**HASTE)):
        await asyncio.sleep(2 * HASTE["send_settle_seconds"])
    assert [] == await outgoing.received()


async def test_a_person_says_that_an_uncertain_mail_was_sent(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    row = await _uncertain(ground, outgoing)
    resolved = await outgoing.sends().resolve(row.send_id, pb2.SEND_RESOLUTION_SENT, None)

    assert (State.SENT, True, "") == (resolved.state, resolved.is_resolved, resolved.content.mail.text)
    assert ["send.uncertain", "send.sent"] == [event.event_type for event in await outgoing.events()]


async def test_a_person_has_an_uncertain_mail_sent_again(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    row = await _uncertain(ground, outgoing)
    await outgoing.sends().resolve(row.send_id, pb2.SEND_RESOLUTION_SEND_AGAIN, None)
    async with running(ground.worker_settings(**HASTE)):
        await outgoing.ended(row.send_id, State.SENT)

    assert 1 == len(await outgoing.received())
    assert ["send.uncertain", "send.sent"] == [event.event_type for event in await outgoing.events()]


async def test_an_uncertain_mail_whose_copy_turns_up_is_not_sent_again(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    await ground.control.set(graph_sent_ids="changed")
    await ground.control.add_fault("status", endpoint=SEND, status=504, phase="after", count=1)
    await ground.control.lag(outgoing.tenant.address, list_seconds=6)
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE)):
        uncertain = await outgoing.ended(row.send_id)
        await asyncio.sleep(6)
        await outgoing.sends().resolve(row.send_id, pb2.SEND_RESOLUTION_SEND_AGAIN, None)
        sent = await outgoing.ended(row.send_id)

    assert (State.UNCERTAIN, State.SENT) == (uncertain.state, sent.state)
    assert 1 == len(await outgoing.received())


async def test_a_refused_mail_fails_with_the_providers_word_and_leaves_no_draft(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    await ground.control.add_fault("status", endpoint=SEND, status=403, code="ErrorSendAsDenied")
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE)):
        failed = await outgoing.ended(row.send_id)
        await outgoing.cleared(row.send_id)

    assert (State.FAILED, "SEND_REFUSED") == (failed.state, failed.reason)
    assert "ErrorSendAsDenied" in failed.detail
    assert ["send.failed"] == [event.event_type for event in await outgoing.events()]
    assert ([], []) == (await outgoing.own(drafts=True), await outgoing.received())


async def _uncertain(ground: Ground, outgoing: Outgoing) -> Any:
    """Let a submission stay without an answer, and the draft vanish: a person deletes it."""
    await ground.control.add_fault("status", endpoint=SEND, status=504, account=outgoing.tenant.address, count=1)
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE)):
        await ground.until(lambda: _is_submitted(outgoing, row.send_id))
        (draft,) = await outgoing.own(drafts=True)
        await ground.control.delete(outgoing.tenant.address, draft["id"])
        return await outgoing.ended(row.send_id)


async def _is_submitted(outgoing: Outgoing, send_id: str) -> bool:
    row = await outgoing.read(send_id)
    return row.state is State.SENDING and row.attempts > 0


async def _has_struck(ground: Ground, endpoint: str = "") -> bool:
    faults = await ground.control.request("GET", "/faults")
    return any(fault["struck"] for fault in faults if endpoint in ("", fault["endpoint"]))


async def _is_one_mail(outgoing: Outgoing, send_id: str) -> None:
    row = await outgoing.read(send_id)
    assert State.SENT is row.state, row

    async def has_arrived() -> bool:
        return len(await outgoing.received()) > 0

    await outgoing.ground.until(has_arrived)
    assert 1 == len(await outgoing.received())
    assert [] == await outgoing.own(drafts=True)
    copies = await outgoing.own(drafts=False)
    assert [row.message_id] == [copy["id"] for copy in copies]
    assert ["send.sent"] == [event.event_type for event in await outgoing.events()]


async def test_a_throttled_repetition_is_no_submission(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    account = outgoing.tenant.address
    await ground.control.add_fault("status", endpoint=SEND, account=account, status=504, **ONCE)
    await ground.control.add_fault("status", endpoint=SEND, account=account, status=429, retry_after=1, skip=1, count=3)
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE, send_submissions=2)):
        sent = await outgoing.ended(row.send_id)

    assert (State.SENT, 2) == (sent.state, sent.submissions)
    await _is_one_mail(outgoing, sent.send_id)
