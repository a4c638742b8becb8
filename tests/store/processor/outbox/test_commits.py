"""A send is one mail although its worker dies between two of its commits, where no request to the provider lies.

The tests of doubts kill workers in their requests; here they die right after each commit.
"""

import asyncio
import subprocess
from pathlib import Path

import pytest

from services.processor.outbox.rows import SendRow, State
from services.processor.worker import running
from tests.programs.dying_worker import DIED, STEPS
from tests.store.processor.ground import PATIENCE, Ground
from tests.store.processor.outbox.sending import HASTE, Outgoing
from tests.store.processor.outbox.test_files import with_files
from tests.store.processor.workers import end_holds, worker_process

pytestmark = pytest.mark.timeout(300)


async def accepted(outgoing: Outgoing) -> SendRow:
    """Commit an answer at Google, and a mail with files at Microsoft: the longest ways of the two."""
    if outgoing.tenant.provider == "googlews":
        return await outgoing.answer()
    row, _ = await outgoing.sends().accept(await with_files(outgoing))
    return row


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("provider", ["ms365", "googlews"])
async def test_a_send_is_one_mail_although_its_worker_dies_after_a_commit(
    ground: Ground, tmp_path: Path, provider: str, step: str
) -> None:
    outgoing = await Outgoing.of(ground, provider, **({"labels": ()} if provider == "googlews" else {}))
    row = await accepted(outgoing)
    with worker_process(ground, tmp_path, module="tests.programs.dying_worker", argument=step, **HASTE) as worker:
        try:
            status = await asyncio.to_thread(worker.wait, PATIENCE)
        except subprocess.TimeoutExpired:
            pytest.fail(f"no worker committed {step}")
    died = await outgoing.read(row.send_id)
    await end_holds(ground)
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)
        await outgoing.cleared(row.send_id)

    assert DIED == status
    assert (State.SENT, step == "sent") == (sent.state, died.state is State.SENT)
    assert 1 == len(await outgoing.received())
    assert [] == await outgoing.own(drafts=True)
    assert ["send.sent"] == [event.event_type for event in await outgoing.events()]
