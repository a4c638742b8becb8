"""A send whose recipient is erased is never sent twice: its key still finds it, and the answer names the reason."""

import pytest

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit.erasing_marks import PersonToErase
from services.meshkit.erasing_persons import Pace, PersonErasing
from services.meshkit.ids import new_id
from services.processor.errors import IdempotencyKeyReused, PersonErased
from services.processor.outbox.rows import SendRow, State
from services.processor.persons import PERSONS
from services.processor.worker import running
from tests.store.planting import cells_with
from tests.store.processor.ground import Ground
from tests.store.processor.outbox.sending import HASTE, Outgoing

pytestmark = pytest.mark.timeout(300)
AT_ONCE = Pace(settle_seconds=0, slice_seconds=60, rest=0)


async def erase(outgoing: Outgoing, address: str) -> None:
    """Erase a recipient from Processor's schema."""
    person = PersonToErase(new_id(), outgoing.tenant.tenant_id, address)
    erasing = PersonErasing(outgoing.ground.processor, "processor", PERSONS, AT_ONCE)
    assert (await erasing.advance(person)).mark.is_done


async def repeated(outgoing: Outgoing, key: str) -> SendRow:
    """Ask for the same mail with the same key once more, and for another one with this key, which is refused."""
    row, was_known = await outgoing.sends().accept(outgoing.request(key))
    assert was_known
    with pytest.raises(IdempotencyKeyReused):
        await outgoing.sends().accept(outgoing.request(key, subject="Other"))
    return row


async def test_the_key_of_an_erased_sent_mail_sends_nothing_again(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    key = f"offer:{outgoing.recipient}"
    first = await outgoing.accept(key)
    async with running(ground.worker_settings(**HASTE)):
        await outgoing.ended(first.send_id)
        await outgoing.cleared(first.send_id)
        await erase(outgoing, outgoing.recipient)
        again = await repeated(outgoing, key)
        neighbour = await outgoing.accept("another", subject="Behind it")
        await outgoing.ended(neighbour.send_id)

    assert (first.send_id, State.SENT, "PERSON_ERASED") == (again.send_id, again.state, again.reason)
    assert ["Behind it", "Offer"] == sorted(mail["subject"] for mail in await outgoing.received())
    assert not {cell for cell in await cells_with(ground.processor, "processor", key) if cell[0] == "sends"}


async def test_a_send_that_waits_ends_unsent_and_its_key_says_why(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    first = await outgoing.accept("one")
    await erase(outgoing, outgoing.recipient)
    again = await repeated(outgoing, "one")
    async with running(ground.worker_settings(**HASTE)):
        neighbour = await outgoing.accept("another", subject="Behind it")
        await outgoing.ended(neighbour.send_id)

    assert (first.send_id, State.FAILED, "PERSON_ERASED") == (again.send_id, again.state, again.reason)
    assert ["Behind it"] == [mail["subject"] for mail in await outgoing.received()]
    told = {event.send_id: (event.event_type, event.reason) for event in await outgoing.events()}
    assert ("send.failed", "PERSON_ERASED") == told[first.send_id]


async def test_an_uncertain_send_stays_uncertain_and_cannot_be_sent_again(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    first = await outgoing.accept("one")
    await ground.processor.execute(
        "UPDATE processor.sends SET state = $1, finished_at = now(), due_at = NULL, prepared_at = now(),"
        " reason = 'SEND_OUTCOME_UNKNOWN', submissions = 1 WHERE send_id = $2",
        State.UNCERTAIN.value,
        first.send_id,
    )
    await erase(outgoing, outgoing.recipient)
    again = await repeated(outgoing, "one")
    assert (first.send_id, State.UNCERTAIN, "PERSON_ERASED") == (again.send_id, again.state, again.reason)
    with pytest.raises(PersonErased):
        await outgoing.sends().resolve(first.send_id, pb2.SEND_RESOLUTION_SEND_AGAIN, None)
    resolved = await outgoing.sends().resolve(first.send_id, pb2.SEND_RESOLUTION_SENT, None)
    assert State.SENT is resolved.state
    assert first.send_id == (await repeated(outgoing, "one")).send_id
    assert [] == await outgoing.received()
