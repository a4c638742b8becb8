"""Bounces in PostgreSQL: events of the conversation whose message they cite, and mail of none."""

import pytest

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from mailmesh.conversation.v1 import event_pb2
from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.mail.v1 import message_pb2
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.ids import new_id
from services.processor.conversations.retention import ConversationRetention
from services.processor.conversations.store import reports
from services.processor.stream.publish import EventDraft, publish
from tests.store.processor.conversations.serving import ACTOR, ADA, EVE, Served, begun
from tests.unit.processor.conversations.desk import DESK, FAIL, NONE, mail

BOUNCED = "conversation.bounced"


@pytest.fixture
async def served(pool: db.Pool) -> Served:
    made = Served(pool)
    await made.begin()
    return made


def bounce(
    message_id: str, cited: str, *recipients: str, proof: str = NONE, sender: str = "mailer-daemon@a.example"
) -> mail_pb2.NormalizedMailEvent:
    """Make the mail of a report that a message did not reach recipients."""
    event = mail(message_id, sender, proof=proof, automation=message_pb2.AUTOMATION_KIND_BOUNCE)
    event.message.report.original_message_id = f"<{cited}@mail.example>"
    for address in recipients:
        event.message.report.recipients.add(
            address=address, bounce=message_pb2.BOUNCE_KIND_HARD, status="5.1.1", action="failed"
        )
    return event


async def bounces(served: Served) -> list[event_pb2.ConversationEvent]:
    return [one for one in await served.told() if one.event_type == BOUNCED]


async def test_a_bounce_is_an_event_of_the_conversation_and_its_mail_is_in_none(served: Served) -> None:
    first = await begun(served)
    await served.publish(bounce("b", "2", "Ada@A.example", "nobody@a.example"))
    await served.follow()
    (event,) = await bounces(served)
    messages = await served.conversations.messages(first.conversation_id, None, 10, ACTOR)

    assert event_pb2.ConversationBounce(
        report_message_id="b", bounced_message_id="2",
        recipients=[event_pb2.BouncedRecipient(address=ADA, bounce=message_pb2.BOUNCE_KIND_HARD, status="5.1.1")],
    ) == event.bounce  # fmt: skip
    assert (first, "REPORT", "mail") == (event.conversation, event.reason, event.actor)
    assert [first] == await served.all()
    assert ["1", "2"] == [one.message_id for one in messages]


async def test_a_bounce_names_the_send_whose_mail_did_not_arrive(served: Served) -> None:
    await served.publish(mail("1", ADA))
    answer = mail("2", DESK, (ADA,), cites=("1",), is_sent=True)
    answer.send_id, answer.source = new_id(), mail_pb2.EVENT_SOURCE_COMMAND
    await served.publish(answer, bounce("b", "2", ADA))
    await served.follow()
    (found,) = await served.all()
    messages = await served.conversations.messages(found.conversation_id, None, 10, ACTOR)

    assert [answer.send_id] == [one.send_id for one in await bounces(served)]
    assert ["", answer.send_id] == [one.send_id for one in messages]


async def test_a_bounce_that_comes_before_the_copy_of_its_message_waits_for_it(served: Served) -> None:
    await served.publish(mail("1", ADA), bounce("b", "2", ADA))
    await served.follow()
    early = await bounces(served)
    await served.publish(mail("2", DESK, (ADA,), cites=("1",), is_sent=True))
    await served.follow()

    assert [] == early
    assert ["b"] == [one.bounce.report_message_id for one in await bounces(served)]
    assert 0 == await served.pool.fetchval("SELECT count(*) FROM processor.conversation_reports")


async def test_a_forged_bounce_is_no_event(served: Served) -> None:
    """Anybody can write a report; every recipient knows the Message-ID."""
    first = await begun(served)
    forged = (
        bounce("b1", "1", ADA),  # the customer's own message, which the mailbox did not send
        bounce("b2", "2", EVE),  # a person to whom the mailbox did not write
        bounce("b3", "2", ADA, proof=FAIL),
        bounce("b4", "unknown", ADA),
        bounce("b5", "2"),
    )
    await served.publish(*forged)
    await served.follow()

    assert [] == await bounces(served)
    assert [first] == await served.all()


async def test_a_bounce_that_is_read_again_is_one_event(served: Served) -> None:
    await begun(served)
    again = bounce("b", "2", ADA)
    await served.publish(bounce("b", "2", ADA))
    await served.follow()
    again.tenant_id, again.event_type, again.generation, again.enriched_event_id = (
        served.tenant, "mail.enriched", 1, "e",
    )  # fmt: skip
    again.received_at.FromDatetime(SystemClock().now())
    async with db.transaction(served.pool) as connection:
        await publish(connection, [EventDraft(mail=again)])
    await served.follow()

    assert 1 == len(await bounces(served))


async def test_rule_8_the_fuse_bounds_bounces_and_a_setting_moves_it(served: Served) -> None:
    await begun(served)
    await served.publish(*(bounce(f"b{number}", "2", ADA) for number in range(7)))
    await served.follow()
    by_default = len(await bounces(served))
    settings = pb2.ConversationSettings(is_enabled=True, own_addresses=[DESK], automatic_an_hour=6)
    await served.conversations.update_settings(served.tenant, settings, ACTOR)
    await served.publish(*(bounce(f"c{number}", "2", ADA) for number in range(7)))
    await served.follow()

    assert (5, 6) == (by_default, len(await bounces(served)))


async def test_a_bounce_follows_a_merge(served: Served) -> None:
    first = await begun(served)
    await served.publish(mail("10", ADA, subject="Other"))
    await served.follow()
    into = next(one for one in await served.all() if one.conversation_id != first.conversation_id)
    await served.conversations.merge(first.conversation_id, first.version, into.conversation_id, ACTOR)
    await served.publish(bounce("b", "2", ADA))
    await served.follow()

    assert [into.conversation_id] == [one.conversation.conversation_id for one in await bounces(served)]


async def test_waiting_reports_are_bounded_and_end(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MAX_WAITING", 2)
    await served.publish(*(bounce(f"b{number}", f"unknown {number}", ADA) for number in range(4)))
    await served.follow()
    count = "SELECT count(*) FROM processor.conversation_reports"
    kept = await served.pool.fetchval(count)
    await served.pool.execute("UPDATE processor.conversation_reports SET reported_at = now() - interval '8 days'")
    removed = await ConversationRetention(served.pool, SystemClock(), 30).round()

    assert (2, 2, 0) == (kept, removed, await served.pool.fetchval(count))
