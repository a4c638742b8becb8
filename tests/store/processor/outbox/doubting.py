"""Faults for tests of sends, and the proof that one mail was sent."""

from services.processor.outbox.rows import State
from tests.store.processor.ground import Ground
from tests.store.processor.outbox.sending import Outgoing

ONCE = {"count": 1}


async def is_submitted(outgoing: Outgoing, send_id: str) -> bool:
    """Tell whether a send was submitted, and its outcome is not known yet."""
    row = await outgoing.read(send_id)
    return row.state is State.SENDING and row.attempts > 0


async def has_struck(ground: Ground, endpoint: str = "") -> bool:
    """Tell whether a fault was injected into a call, of this endpoint or of any."""
    faults = await ground.control.request("GET", "/faults")
    return any(fault["struck"] for fault in faults if endpoint in ("", fault["endpoint"]))


async def is_one_mail(outgoing: Outgoing, send_id: str) -> None:
    """Expect one mail at the recipient, one copy, no draft and one event."""
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
