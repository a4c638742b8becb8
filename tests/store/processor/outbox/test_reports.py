"""A bounce or a complaint counts once, and only for a mail that we sent and a recipient to whom we sent it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from mailmesh.mail.v1 import message_pb2
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.processor.outbox.retention import SendRetention
from services.processor.outbox.rows import ReportRow, SendRow, State
from services.processor.outbox.store import reports, waiting_reports
from services.processor.worker import running
from simulator.bounces import FORMS, report
from tests.store.processor.ground import Ground
from tests.store.processor.outbox.sending import HASTE, Outgoing

pytestmark = pytest.mark.timeout(300)
HARD = message_pb2.BOUNCE_KIND_HARD
MANY_SENDS = """
    INSERT INTO processor.sends SELECT (jsonb_populate_record(one, jsonb_build_object('send_id', gen_random_uuid(),
        'idempotency_key', number::text, 'internet_message_id', number::text))).*
    FROM processor.sends one, generate_series(1, 5000) AS number WHERE one.send_id = $1
"""


async def sent(outgoing: Outgoing, recipient: str) -> SendRow:
    """Sends a mail to a recipient and to one that gets it."""
    request = outgoing.request()
    request.mail.to[0].address = recipient
    request.mail.cc.add(address=outgoing.recipient)
    row, _ = await outgoing.sends().accept(request)
    return await outgoing.ended(row.send_id, State.SENT)


async def told(outgoing: Outgoing) -> None:
    """Tells of all mail that the sender's mailbox received, twice, and waits until no work is left."""
    truth = await outgoing.ground.control.truth(outgoing.tenant.address)
    for _ in range(2):
        if outgoing.tenant.provider == "googlews":
            await outgoing.ground.push_present(outgoing.tenant)
        else:
            for mail in truth["messages"]:
                await outgoing.ground.notify(outgoing.tenant, "created", mail)
        await outgoing.ground.settled()


async def forge(outgoing: Outgoing, message_id: str, failed: str, form: str = "exchange") -> None:
    """Delivers a stranger's report about a mail with an id."""
    original = f"From: x@y.test\r\nTo: {failed}\r\nMessage-ID: {message_id}\r\n\r\nHi\r\n".encode()
    raw = report(form, original, [failed], sender=outgoing.tenant.address, date="", message_id="<f@y.test>")
    await outgoing.ground.control.deliver(outgoing.tenant.address, eml=raw.decode())


async def bounces(outgoing: Outgoing) -> list[tuple[str, str, str, int, str]]:
    """Reads the events after the outcome."""
    return [
        (event.event_type, event.send_id, event.recipient, event.bounce, event.status)
        for event in await outgoing.events()
        if event.event_type != "send.sent"
    ]


@pytest.mark.parametrize(
    ("provider", "form"), [*(("ms365", form) for form in FORMS), ("googlews", "gmail"), ("googlews", "yahoo")]
)
async def test_a_bounce_of_each_form_is_one_event_for_the_recipient_that_failed(
    ground: Ground, provider: str, form: str
) -> None:
    outgoing = await Outgoing.of(ground, provider)
    await ground.control.set(bounce_form=form)
    if provider == "googlews":
        await ground.begin(outgoing.tenant)
    async with running(ground.worker_settings(**HASTE)):
        row = await sent(outgoing, "Gone@undeliverable.test")
        await told(outgoing)

    assert [("send.bounced", row.send_id, "Gone@undeliverable.test", HARD, "5.1.1")] == await bounces(outgoing)
    (shown,) = await outgoing.sends().reports(row.send_id)
    assert ("Gone@undeliverable.test", False, HARD, "5.1.1") == (
        shown.recipient, shown.is_complaint, shown.bounce, shown.status
    )  # fmt: skip
    mails = [one.mail.message for one in await ground.events(outgoing.tenant) if one.mail.message.HasField("report")]
    assert [row.internet_message_id] == [mail.report.original_message_id for mail in mails]


async def test_a_forged_bounce_counts_nothing(ground: Ground) -> None:
    outgoing, other = await Outgoing.of(ground), await Outgoing.of(ground)
    async with running(ground.worker_settings(**HASTE)):
        row = await sent(outgoing, "fine@elsewhere.test")
        await forge(outgoing, "<guessed@mail.test>", "fine@elsewhere.test")
        await forge(outgoing, row.internet_message_id, "never@written.test")
        await forge(outgoing, row.internet_message_id, "never@written.test", "workmail")
        await forge(other, row.internet_message_id, "fine@elsewhere.test")
        await told(outgoing)
        await told(other)

    assert [] == await bounces(outgoing) + await bounces(other)
    assert [] == await outgoing.sends().reports(row.send_id)
    assert 0 == await waiting(outgoing) + await waiting(other)


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
async def test_a_spam_of_reports_in_six_forms_counts_nothing_and_holds_back_no_mail(
    ground: Ground, provider: str
) -> None:
    outgoing = await Outgoing.of(ground, provider)
    if provider == "googlews":
        await ground.begin(outgoing.tenant)
    async with running(ground.worker_settings(**HASTE)):
        row = await sent(outgoing, "gone@undeliverable.test")
        for form in FORMS:
            for number in range(5):
                await forge(outgoing, row.internet_message_id, f"never{number}@written.test", form)
                await forge(outgoing, f"<guessed{number}@mail.test>", "gone@undeliverable.test", form)
        later = await ground.control.deliver(outgoing.tenant.address, subject="Later")
        await told(outgoing)

    assert [("send.bounced", row.send_id, "gone@undeliverable.test", HARD, "5.1.1")] == await bounces(outgoing)
    assert 1 == len(await outgoing.sends().reports(row.send_id))
    assert 0 == await waiting(outgoing)
    truth = (await ground.control.truth(outgoing.tenant.address))["messages"]
    received = {mail["id"] for mail in truth if mail["subject"] != "Offer"}
    assert len(received) == 2 * 5 * len(FORMS) + 2
    created = [one.message_id for one in await ground.events(outgoing.tenant) if one.event_type == "mail.created"]
    assert received <= set(created) >= {later["id"]}
    assert len(created) == len(set(created))


@pytest.mark.parametrize("fault", [{"status": 429, "retry_after": 1}, {"status": 503}, {"status": 400}])
async def test_a_bounce_whose_mime_is_never_given_holds_no_mail_back(ground: Ground, fault: dict[str, Any]) -> None:
    outgoing = await Outgoing.of(ground)
    tenant = outgoing.tenant
    await ground.control.add_fault("status", endpoint="graph.messages.mime", account=tenant.address, **fault)
    await forge(outgoing, "<guessed@mail.test>", "never@written.test")
    later = await ground.control.deliver(tenant.address, subject="Later")
    async with running(ground.worker_settings(**HASTE)):
        await told(outgoing)

    mails = {one.message_id: one.mail.message for one in await ground.events(tenant)}
    truth = (await ground.control.truth(tenant.address))["messages"]
    assert {one["id"] for one in truth} == mails.keys() >= {later["id"]}
    assert all(mail.subject and not mail.HasField("report") for mail in mails.values())


async def test_a_bounce_counts_although_reads_of_its_mime_fail_in_a_row(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    tenant = outgoing.tenant
    await ground.control.add_fault(
        "status", endpoint="graph.messages.mime", account=tenant.address, status=503, count=4
    )
    async with running(ground.worker_settings(**HASTE, retry_base_seconds=0.1)):
        row = await sent(outgoing, "gone@undeliverable.test")
        for mail in await outgoing.own(drafts=False):
            await ground.notify(tenant, "created", mail)
        await ground.settled()

    assert [("send.bounced", row.send_id, "gone@undeliverable.test", HARD, "5.1.1")] == await bounces(outgoing)
    assert 5 == await ground.control.call_count(endpoint="graph.messages.mime", account=tenant.address)
    told_ids = [one.message_id for one in await ground.events(tenant) if one.event_type == "mail.created"]
    assert len(told_ids) == len(set(told_ids))


async def test_reports_about_many_recipients_are_one_statement_and_each_counts_once(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    row = await unstamped(outgoing, "fine@elsewhere.test")
    now = SystemClock().now()
    first = ReportRow(row.send_id, "r0@x.test", is_complaint=False, bounce=HARD, status="5.1.1", diagnostic="",
        reported_at=now, report_message_id="m")  # fmt: skip
    made = [replace(first, recipient=f"r{number}@x.test") for number in range(100)]
    async with db.connection(ground.processor) as connection:
        before = await reports.add(connection, row.tenant_id, made[:40])
        statements: list[Any] = []
        with connection.query_logger(statements.append):
            after = await reports.add(connection, row.tenant_id, made)

    assert (made[:40], made[40:], 1) == (before, after, len(statements))
    assert 100 == len(await outgoing.sends().reports(row.send_id))


async def test_whether_a_report_might_fit_is_read_from_an_index(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    row = await unstamped(outgoing, "fine@elsewhere.test")
    async with db.connection(ground.processor) as connection:
        change = connection.transaction()
        await change.start()
        await connection.execute(MANY_SENDS, row.send_id)
        await connection.execute("ANALYZE processor.sends")
        plan = await connection.fetch(f"EXPLAIN {waiting_reports._MIGHT_FIT}", row.tenant_id)
        await change.rollback()

    assert any("sends_unstamped" in line[0] for line in plan), plan


async def test_a_complaint_is_an_event_beside_a_bounce_of_the_same_recipient(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    async with running(ground.worker_settings(**HASTE)):
        row = await sent(outgoing, "fine@elsewhere.test")
        eml = (
            "From: fbl@isp.test\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n"
            "--b\r\nContent-Type: text/plain\r\n\r\nSpam.\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n"
            "Feedback-Type: abuse\r\nOriginal-Rcpt-To: fine@elsewhere.test\r\n\r\n--b\r\nContent-Type: message/rfc822"
            f"\r\n\r\nMessage-ID: {row.internet_message_id}\r\n\r\nBuy\r\n--b--\r\n"
        )
        await ground.control.deliver(outgoing.tenant.address, eml=eml)
        await forge(outgoing, row.internet_message_id, "fine@elsewhere.test")
        await told(outgoing)

    assert {
        ("send.complained", row.send_id, "fine@elsewhere.test", 0, "abuse"),
        ("send.bounced", row.send_id, "fine@elsewhere.test", HARD, "5.1.1"),
    } == set(await bounces(outgoing))


async def unstamped(outgoing: Outgoing, recipient: str) -> SendRow:
    """Sends a mail, and forgets the ids of its copy, as when the worker has stopped looking before it appears."""
    async with running(outgoing.ground.worker_settings(**HASTE)):
        row = await sent(outgoing, recipient)
    statement = "UPDATE processor.sends SET message_id = '', internet_message_id = '' WHERE send_id = $1"
    await outgoing.ground.processor.execute(statement, row.send_id)
    return row


async def told_of(outgoing: Outgoing, *, reports: bool) -> None:
    """Tells of the reports or of the other mail, by a worker that ends afterwards."""
    async with running(outgoing.ground.worker_settings(**HASTE)):
        for mail in await outgoing.own(drafts=False):
            if (mail["subject"] != "Offer") is reports:
                await outgoing.ground.notify(outgoing.tenant, "created", mail)
        await outgoing.ground.settled()


async def waiting(outgoing: Outgoing) -> int:
    """Counts the tenant's reports that wait for a send."""
    query = "SELECT count(*) FROM processor.waiting_reports WHERE tenant_id = $1"
    return int(await outgoing.ground.processor.fetchval(query, outgoing.tenant.tenant_id))


@pytest.mark.parametrize("order", [(True, True, False, True), (False, True, False)], ids=["report first", "copy first"])
async def test_a_bounce_counts_once_on_either_side_of_the_stamped_id(ground: Ground, order: tuple[bool, ...]) -> None:
    outgoing = await Outgoing.of(ground)
    row = await unstamped(outgoing, "gone@undeliverable.test")
    await told_of(outgoing, reports=order[0])
    assert order[0] == await waiting(outgoing)
    assert [] == await bounces(outgoing)
    for is_report in order[1:]:
        await told_of(outgoing, reports=is_report)

    assert [("send.bounced", row.send_id, "gone@undeliverable.test", HARD, "5.1.1")] == await bounces(outgoing)
    assert (await outgoing.read(row.send_id)).internet_message_id
    assert 0 == await waiting(outgoing)


async def test_a_bounce_that_comes_while_the_copy_is_awaited_follows_the_outcome(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    await ground.control.set(graph_sent_copy_seconds=6)
    async with running(ground.worker_settings(**HASTE)):
        row = await outgoing.accept()

        async def is_accepted() -> bool:
            return (await outgoing.read(row.send_id)).accepted_at is not None

        await ground.until(is_accepted, what="the mail is accepted")
        (mail,) = (await ground.control.truth(outgoing.tenant.address))["messages"]
        await forge(outgoing, mail["internetMessageId"], outgoing.recipient)
        await told(outgoing)
        await outgoing.ended(row.send_id, State.SENT)

    assert ["send.sent", "send.bounced"] == [event.event_type for event in await outgoing.events()]
    assert 0 == await waiting(outgoing)


async def test_forged_reports_wait_in_vain(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    row = await unstamped(outgoing, "fine@elsewhere.test")
    (copy,) = await outgoing.own(drafts=False)
    await forge(outgoing, "<guessed@mail.test>", "fine@elsewhere.test")
    await forge(outgoing, "", "fine@elsewhere.test")
    await forge(outgoing, copy["internetMessageId"], "never@written.test")
    await told_of(outgoing, reports=True)
    assert 2 == await waiting(outgoing)
    await told_of(outgoing, reports=False)

    assert ([], []) == (await bounces(outgoing), await outgoing.sends().reports(row.send_id))
    assert 1 == await waiting(outgoing)


async def test_waiting_reports_are_few_and_end(ground: Ground) -> None:
    tenant, now = str(uuid4()), SystemClock().now()
    report = message_pb2.DeliveryReport(original_message_id="<a@b.test>")
    async with db.connection(ground.processor) as connection:
        for number in range(4):
            await waiting_reports.keep(connection, tenant, f"m{number}", report, now - timedelta(days=2 * number))
        await waiting_reports.cut(connection, tenant, 3)
        await waiting_reports.keep(connection, tenant, "m7", report, now - timedelta(days=8))
        await SendRetention(ground.processor, SystemClock()).round()
        left = await waiting_reports.take(connection, tenant, "<a@b.test>")

    assert ["m2", "m1", "m0"] == [message_id for message_id, _, _ in left]
