"""The outbox's requests to Graph, against the simulated provider."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.meshkit.ids import new_id
from services.processor.mail.sources.reading import read_mail
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import SourceError
from services.processor.mailbox.provider_http import ProviderHttp
from services.processor.outbox.graph import GraphOutbox
from services.processor.outbox.mailbox import is_refused, is_unprocessed
from tests.programs.simulator import RunningSimulator
from tests.wire.processor.outbox.sending import OneToken, Outgoing, sending

SCOPES = "openid profile email offline_access User.Read Mail.ReadWrite Mail.Send"


@pytest.fixture
async def outgoing(simulator: RunningSimulator) -> AsyncIterator[Outgoing]:
    base = simulator.settings["MAILMESH_MS365_GRAPH_URL"]
    async with sending(simulator, "ms365", SCOPES, lambda access: GraphOutbox(access, base, read_mail)) as opened:
        yield opened


@pytest.mark.parametrize("ids", ["kept", "changed"])
async def test_a_draft_is_found_by_its_mark_submitted_once_and_found_as_sent(outgoing: Outgoing, ids: str) -> None:
    await outgoing.control.set(graph_sent_ids=ids)
    row = outgoing.row()
    before = (await outgoing.mailbox.find(row)).copies
    row = replace(row, draft_id=await outgoing.mailbox.draft(row))
    (draft,) = (await outgoing.mailbox.find(row)).copies
    assert "" == await outgoing.mailbox.submit(row)
    (sent,) = (await outgoing.mailbox.find(row)).copies
    with pytest.raises(SourceError) as again:
        await outgoing.mailbox.submit(row)

    assert ([], True, row.draft_id) == (before, draft.is_draft, draft.message_id)
    assert (False, ids == "kept") == (sent.is_draft, sent.message_id == row.draft_id)
    assert sent.internet_message_id
    assert sent.thread_id
    assert ["Offer"] == await outgoing.received()
    assert not is_unprocessed(again.value)


async def test_sends_with_other_marks_are_not_found(outgoing: Outgoing) -> None:
    row = outgoing.row()
    await outgoing.mailbox.draft(row)

    assert [] == (await outgoing.mailbox.find(outgoing.row())).copies


async def test_a_discarded_draft_is_gone_and_may_be_discarded_again(outgoing: Outgoing) -> None:
    row = outgoing.row()
    draft_id = await outgoing.mailbox.draft(row)
    await outgoing.mailbox.discard(draft_id)
    await outgoing.mailbox.discard(draft_id)

    assert [] == (await outgoing.mailbox.find(replace(row, draft_id=draft_id))).copies
    assert [] == (await outgoing.control.truth(outgoing.sender))["messages"]


async def test_an_accepted_mail_that_waits_for_transport_is_found_as_a_draft(outgoing: Outgoing) -> None:
    await outgoing.control.set(graph_sent_copy_seconds=2)
    row = outgoing.row()
    row = replace(row, draft_id=await outgoing.mailbox.draft(row))
    await outgoing.mailbox.submit(row)
    (waiting,) = (await outgoing.mailbox.find(row)).copies
    while (copies := (await outgoing.mailbox.find(row)).copies)[0].is_draft:
        await asyncio.sleep(0.1)

    assert waiting.is_draft
    assert ["Offer"] == await outgoing.received()
    assert not copies[0].is_draft


@pytest.mark.parametrize(
    ("fault", "unprocessed", "refused"),
    [
        ({"kind": "status", "status": 429, "retry_after": 1}, True, False),
        ({"kind": "status", "status": 401}, True, False),
        ({"kind": "status", "status": 503, "retry_after": 1}, False, False),
        ({"kind": "status", "status": 504}, False, False),
        ({"kind": "status", "status": 507}, False, False),
        ({"kind": "status", "status": 409}, False, False),
        ({"kind": "status", "status": 412}, False, False),
        ({"kind": "status", "status": 200, "phase": "after"}, False, False),
        ({"kind": "close", "phase": "after"}, False, False),
        ({"kind": "status", "status": 400}, False, True),
        ({"kind": "status", "status": 403, "code": "ErrorSendAsDenied"}, False, True),
        ({"kind": "status", "status": 413}, False, True),
    ],
)
async def test_an_answer_to_a_submission_proves_what_it_proves(
    outgoing: Outgoing, fault: dict[str, object], unprocessed: bool, refused: bool
) -> None:
    row = outgoing.row()
    row = replace(row, draft_id=await outgoing.mailbox.draft(row))
    await outgoing.control.add_fault(endpoint="graph.messages.send", **fault)  # type: ignore[arg-type]
    with pytest.raises(SourceError) as failed:
        await outgoing.mailbox.submit(row)

    assert (unprocessed, refused) == (is_unprocessed(failed.value), is_refused(failed.value))


async def test_202_with_a_time_to_wait_is_done(outgoing: Outgoing) -> None:
    row = outgoing.row()
    row = replace(row, draft_id=await outgoing.mailbox.draft(row))
    await outgoing.control.add_fault("status", endpoint="graph.messages.send", status=202, retry_after=9, phase="after")
    await outgoing.mailbox.submit(row)

    assert ["Offer"] == await outgoing.received()


async def test_a_connection_that_is_refused_was_not_processed() -> None:
    async with ProviderHttp.open(authority=None, connections=1, timeout_seconds=2.0, max_bytes=1024) as http:
        access = MailboxAccess(http, OneToken("t"), "tenant", "ms365", 1, "mail.send")  # type: ignore[arg-type]
        mailbox = GraphOutbox(access, "https://127.0.0.1:1/v1.0", read_mail)
        outgoing = Outgoing(None, mailbox, "", "a@b.test")  # type: ignore[arg-type]
        with pytest.raises(SourceError) as failed:
            await mailbox.submit(replace(outgoing.row(), draft_id="draft"))

    assert is_unprocessed(failed.value)


async def test_html_and_all_recipients_reach_the_mail(outgoing: Outgoing) -> None:
    row = outgoing.row(text="", html="<p>Thirty euros.</p>")
    for place in (row.content.mail.cc, row.content.mail.bcc):
        place.add(address=f"x-{new_id()[-12:]}@outside.test", name="Grüße")
    row = replace(row, draft_id=await outgoing.mailbox.draft(row))
    (draft,) = (await outgoing.control.truth(outgoing.sender))["messages"]
    await outgoing.mailbox.submit(row)

    assert "Offer" == draft["subject"]
    assert ["Offer"] == await outgoing.received()
