"""The outbox's requests to Gmail, against the simulated provider."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.meshkit.ids import new_id
from services.processor.mail.sources.reading import read_mail
from services.processor.mailbox.failures import SourceError
from services.processor.outbox.gmail import GmailOutbox
from services.processor.outbox.mailbox import HistoryLostError, is_refused, is_unprocessed
from services.processor.outbox.rows import SendRow
from tests.programs.simulator import RunningSimulator
from tests.wire.processor.outbox.sending import Outgoing, sending

SCOPES = "openid email https://www.googleapis.com/auth/gmail.compose https://www.googleapis.com/auth/gmail.readonly"


@pytest.fixture
async def outgoing(simulator: RunningSimulator) -> AsyncIterator[Outgoing]:
    base = simulator.settings["MAILMESH_GOOGLEWS_GMAIL_URL"]
    async with sending(simulator, "googlews", SCOPES, lambda access: GmailOutbox(access, base, read_mail)) as opened:
        yield opened


async def anchored(outgoing: Outgoing) -> SendRow:
    """Return a send whose anchor is committed."""
    return replace(outgoing.row(), history_anchor=await outgoing.mailbox.anchor())


@pytest.mark.parametrize("ids", ["kept", "changed"])
async def test_a_draft_is_found_sent_once_and_found_as_sent_with_the_stamped_id(outgoing: Outgoing, ids: str) -> None:
    await outgoing.control.set(gmail_sent_draft_ids=ids)
    row = await anchored(outgoing)
    before = (await outgoing.mailbox.find(row)).copies
    draft_id = await outgoing.mailbox.draft(row)
    (lost,) = (await outgoing.mailbox.find(row)).copies
    row = replace(row, draft_id=draft_id)
    (draft,) = (await outgoing.mailbox.find(row)).copies
    answered = await outgoing.mailbox.submit(row)
    (found,) = (await outgoing.mailbox.find(row)).copies
    with pytest.raises(SourceError) as again:
        await outgoing.mailbox.submit(row)

    assert ([], True, draft_id, draft_id) == (before, draft.is_draft, draft.message_id, lost.message_id)
    assert answered == found.message_id
    assert (False, "@mail.gmail.com>") == (found.is_draft, found.internet_message_id[-16:])
    assert ["Offer"] == await outgoing.received()
    assert not is_unprocessed(again.value)
    assert not is_refused(again.value)


async def test_sends_with_other_marks_are_not_found(outgoing: Outgoing) -> None:
    row = await anchored(outgoing)
    sent = replace(row, draft_id=await outgoing.mailbox.draft(row))
    await outgoing.mailbox.submit(sent)

    assert [] == (await outgoing.mailbox.find(replace(outgoing.row(), history_anchor=row.history_anchor))).copies


async def test_a_sent_mail_whose_answer_is_lost_is_found(outgoing: Outgoing) -> None:
    row = await anchored(outgoing)
    row = replace(row, draft_id=await outgoing.mailbox.draft(row))
    await outgoing.control.add_fault("close", endpoint="gmail.drafts.send", phase="after", count=1)
    with pytest.raises(SourceError) as lost:
        await outgoing.mailbox.submit(row)
    (found,) = (await outgoing.mailbox.find(row)).copies

    assert (False, False) == (is_unprocessed(lost.value), found.is_draft)


async def test_a_discarded_draft_is_gone_and_may_be_discarded_again(outgoing: Outgoing) -> None:
    row = await anchored(outgoing)
    row = replace(row, draft_id=await outgoing.mailbox.draft(row))
    await outgoing.mailbox.discard(row.draft_id)
    await outgoing.mailbox.discard(row.draft_id)

    assert [] == (await outgoing.mailbox.find(row)).copies


async def test_html_and_names_reach_the_mail(outgoing: Outgoing) -> None:
    row = outgoing.row(html="<p>Thirty euros.</p>", subject="Grüße " * 30)
    row.content.mail.bcc.add(address=f"x-{new_id()[-12:]}@outside.test", name='Müller, "Ada"')
    row = replace(row, history_anchor=await outgoing.mailbox.anchor())
    row = replace(row, draft_id=await outgoing.mailbox.draft(row))
    await outgoing.mailbox.submit(row)

    assert [("Grüße " * 30).strip()] == [subject.strip() for subject in await outgoing.received()]


async def test_a_long_history_is_looked_through_in_parts_until_the_mail_is_found(outgoing: Outgoing) -> None:
    row = await anchored(outgoing)
    row = replace(row, draft_id=await outgoing.mailbox.draft(row))
    for _ in range(230):
        await outgoing.control.deliver(outgoing.sender, subject="Other", text="x", labels=["SENT"])
    await outgoing.mailbox.submit(row)
    outgoing.mailbox._look_seconds = 0.0  # type: ignore[attr-defined]
    parts = 0
    while not (found := await outgoing.mailbox.find(row)).copies:
        assert not found.is_complete
        assert int(found.anchor) > int(row.history_anchor)
        row, parts = replace(row, history_anchor=found.anchor), parts + 1

    assert (2, False) == (parts, found.copies[0].is_draft)


async def test_a_history_that_is_lost_is_told_as_such(outgoing: Outgoing) -> None:
    row = await anchored(outgoing)
    await outgoing.control.deliver(outgoing.sender, subject="Other", text="x", labels=["SENT"])
    await outgoing.control.expire_history(outgoing.sender)
    with pytest.raises(HistoryLostError):
        await outgoing.mailbox.find(row)
