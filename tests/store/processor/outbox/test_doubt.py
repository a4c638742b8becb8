"""A send is one mail or uncertain, and never two mails, after any answer and wherever its worker dies."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.processor.outbox.rows import State
from services.processor.worker import running
from tests.store.processor.ground import PATIENCE, Ground
from tests.store.processor.outbox.doubting import ONCE, has_struck, is_one_mail, is_submitted
from tests.store.processor.outbox.sending import HASTE, Outgoing
from tests.store.processor.workers import end_holds, worker_process

pytestmark = pytest.mark.timeout(300)

SEND, CREATE = "graph.messages.send", "graph.messages.create"
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

    await is_one_mail(outgoing, sent.send_id)


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
        await ground.until(lambda: has_struck(ground), PATIENCE)
        worker.kill()
        await asyncio.to_thread(worker.wait, 30)
    await ground.control.clear_faults()
    await end_holds(ground)
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)

    await is_one_mail(outgoing, sent.send_id)


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
    await is_one_mail(outgoing, sent.send_id)


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
        await ground.until(lambda: is_submitted(outgoing, row.send_id))
        (draft,) = await outgoing.own(drafts=True)
        await ground.control.delete(outgoing.tenant.address, draft["id"])
        return await outgoing.ended(row.send_id)


async def test_a_throttled_repetition_is_no_submission(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    account = outgoing.tenant.address
    await ground.control.add_fault("status", endpoint=SEND, account=account, status=504, **ONCE)
    await ground.control.add_fault("status", endpoint=SEND, account=account, status=429, retry_after=1, skip=1, count=3)
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE, send_submissions=2)):
        sent = await outgoing.ended(row.send_id)

    assert (State.SENT, 2) == (sent.state, sent.submissions)
    await is_one_mail(outgoing, sent.send_id)
