"""Conversations in PostgreSQL: mail of the stream is taken in exactly once, and callers change them by version."""

import asyncio

import pytest

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.erasing_marks import PersonToErase
from services.meshkit.erasing_persons import Pace, PersonErasing
from services.meshkit.errors import FieldInvalid, MeshError
from services.meshkit.ids import new_id
from services.processor.conversations.errors import ConversationRequestersDiffer
from services.processor.conversations.follower import Follower
from services.processor.conversations.requests import Actor
from services.processor.persons import PERSONS
from services.processor.stream.publish import EventDraft, publish
from services.processor.stream.store import tenants
from tests.store.processor.conversations.serving import ACTOR, ADA, EVE, Served, begun
from tests.unit.processor.conversations.desk import mail


@pytest.fixture
async def served(pool: db.Pool) -> Served:
    made = Served(pool)
    await made.begin()
    return made


async def test_mail_is_taken_in_once_by_many_followers(served: Served) -> None:
    await served.publish(mail("1", ADA), mail("2", ADA, cites=("1",)), mail("3", EVE, cites=("1",)))
    others = [Follower(served.pool, served.reader, SystemClock()) for _ in range(3)]
    await asyncio.gather(*(one.round() for one in (served.follower, *others)))
    await served.follow()
    found = {one.requester: one for one in await served.all()}
    told = await served.told()

    assert {ADA, EVE} == set(found)
    assert ["opened", "message_added", "opened", "quarantined"] == [one.event_type.partition(".")[2] for one in told]
    assert [1, 2, 1, 2] == [one.conversation.version for one in told]
    assert {("ms365", "o", "mail")} == {(one.provider, one.external_tenant_id, one.actor) for one in told}
    assert ["1", "2"] == [
        one.message_id for one in await served.conversations.messages(found[ADA].conversation_id, None, 10, ACTOR)
    ]


async def test_an_enriched_mail_and_a_repeated_event_change_nothing(served: Served) -> None:
    first = await begun(served)
    again = mail("1", ADA)
    await served.publish(again)
    again = mail("1", ADA)
    again.tenant_id, again.event_type, again.generation, again.enriched_event_id = (
        served.tenant,
        "mail.enriched",
        1,
        "e",
    )
    again.received_at.FromDatetime(SystemClock().now())
    async with db.transaction(served.pool) as connection:
        await publish(connection, [EventDraft(mail=again)])
    await served.follow()

    assert [first] == await served.all()


class Stumbling(Follower):
    """A follower whose work fails for one tenant."""

    stone = ""

    async def _read(self, tenant_id: str) -> None:
        if tenant_id == self.stone:
            raise ValueError(tenant_id)
        await super()._read(tenant_id)


async def test_a_tenant_whose_mail_cannot_be_read_holds_no_other_back(pool: db.Pool, served: Served) -> None:
    other = Served(pool)
    await other.begin()
    await served.publish(mail("1", ADA))
    await other.publish(mail("1", ADA))
    follower = Stumbling(pool, served.reader, SystemClock())
    follower.stone = served.tenant
    rounds = [await follower.round() for _ in range(5)]

    assert ([], 1) == (await served.all(), len(await other.all()))
    assert 0 == rounds[-1]


async def test_a_tenant_without_settings_has_no_conversations(pool: db.Pool, served: Served) -> None:
    other = Served(pool)
    await other.publish(mail("1", ADA))
    await served.follow()

    assert [] == await other.all()


async def test_a_change_needs_the_version_that_was_seen(served: Served) -> None:
    first = await begun(served)
    identity = first.conversation_id
    solved = await served.conversations.set_state(identity, first.version, pb2.CONVERSATION_STATE_SOLVED, ACTOR)
    with pytest.raises(MeshError) as refused:
        await served.conversations.set_state(identity, first.version, pb2.CONVERSATION_STATE_CLOSED, ACTOR)

    assert ("CONVERSATION_CHANGED", str(solved.version), "2") == (
        refused.value.reason, refused.value.metadata["version"], refused.value.metadata["last_message_id"],
    )  # fmt: skip
    assert ("conversation.state_changed", "key") == (
        (await served.told())[-1].event_type,
        (await served.told())[-1].actor,
    )


async def test_closed_is_final_and_the_next_mail_follows_it_up(served: Served) -> None:
    first = await begun(served)
    closed = await served.conversations.set_state(
        first.conversation_id, first.version, pb2.CONVERSATION_STATE_CLOSED, ACTOR
    )
    with pytest.raises(MeshError) as refused:
        await served.conversations.set_state(first.conversation_id, closed.version, pb2.CONVERSATION_STATE_OPEN, ACTOR)
    await served.publish(mail("3", ADA, cites=("2",)))
    await served.follow()
    follow_up = next(one for one in await served.all() if one.conversation_id != first.conversation_id)

    assert "CONVERSATION_FINAL" == refused.value.reason
    assert first.conversation_id == follow_up.follow_up_of


async def test_rule_5_a_merge_refuses_different_requesters_and_leads_later_mail(served: Served) -> None:
    first = await begun(served)
    await served.publish(mail("10", ADA, subject="Other"), mail("20", EVE))
    await served.follow()
    found = await served.all()
    same = next(one for one in found if one.requester == ADA and one.conversation_id != first.conversation_id)
    other = next(one for one in found if one.requester == EVE)
    with pytest.raises(MeshError) as refused:
        await served.conversations.merge(first.conversation_id, first.version, other.conversation_id, ACTOR)
    merged = await served.conversations.merge(first.conversation_id, first.version, same.conversation_id, ACTOR)
    with pytest.raises(MeshError) as circle:
        await served.conversations.merge(same.conversation_id, same.version, first.conversation_id, ACTOR)
    await served.publish(mail("3", ADA, cites=("2",)))
    await served.follow()
    joined = await served.conversations.messages(same.conversation_id, None, 10, ACTOR)

    assert ["CONVERSATION_REQUESTERS_DIFFER", "CONVERSATION_FINAL"] == [refused.value.reason, circle.value.reason]
    assert (pb2.CONVERSATION_STATE_MERGED, same.conversation_id) == (merged.state, merged.merged_into)
    assert ["10", "3"] == [one.message_id for one in joined]


async def test_rule_5_a_link_relates_any_conversations_and_records_and_no_mail_joins_by_it(served: Served) -> None:
    first = await begun(served)
    await served.publish(mail("20", EVE))
    await served.follow()
    other = next(one for one in await served.all() if one.requester == EVE)
    identity = first.conversation_id
    linked = await served.conversations.link(identity, first.version, other.conversation_id, "", ACTOR)
    named = await served.conversations.link(identity, linked.version, "", "TICKET-4711", ACTOR)
    again = await served.conversations.link(identity, named.version, other.conversation_id, "TICKET-4711", ACTOR)
    events = (await served.told())[-2:]
    await served.publish(mail("21", EVE, cites=("2",)))
    await served.follow()

    assert (other.conversation_id, "TICKET-4711", first.version + 2) == (
        again.linked_to, again.external_ref, again.version,
    )  # fmt: skip
    assert [("conversation.linked", "CALLER", other.conversation_id), ("conversation.linked", "CALLER", "")] == [
        (one.event_type, one.reason, one.other_conversation_id) for one in events
    ]
    assert 3 == len(await served.all())


async def test_a_link_leads_to_another_conversation_of_the_tenant(pool: db.Pool, served: Served) -> None:
    first, theirs = await begun(served), Served(pool)
    await theirs.begin()
    other = await begun(theirs)
    with pytest.raises(FieldInvalid):
        await served.conversations.link(first.conversation_id, first.version, first.conversation_id, "", ACTOR)
    for to in (other.conversation_id, new_id()):
        with pytest.raises(MeshError) as refused:
            await served.conversations.link(first.conversation_id, first.version, to, "", ACTOR)
        assert "CONVERSATION_NOT_FOUND" == refused.value.reason
    with pytest.raises(MeshError) as stale:
        await served.conversations.link(first.conversation_id, first.version - 1, "", "T", ACTOR)

    assert "CONVERSATION_CHANGED" == stale.value.reason
    assert [first] == await served.all()


async def test_conversations_whose_requesters_were_erased_are_not_merged(served: Served) -> None:
    first = await begun(served)
    await served.publish(mail("20", EVE))
    await served.follow()
    other = next(one for one in await served.all() if one.requester == EVE)
    for address in (ADA, EVE):
        erasing = PersonErasing(served.pool, "processor", PERSONS, Pace(settle_seconds=0, slice_seconds=60, rest=0))
        assert (await erasing.advance(PersonToErase(new_id(), first.tenant_id, address))).mark.is_done
    left = {one.conversation_id: one for one in await served.all()}
    first, other = left[first.conversation_id], left[other.conversation_id]
    with pytest.raises(ConversationRequestersDiffer):
        await served.conversations.merge(first.conversation_id, first.version, other.conversation_id, ACTOR)
    assert ("", "") == (first.requester, other.requester)


async def test_a_split_moves_messages_and_their_replies(served: Served) -> None:
    first = await begun(served)
    await served.publish(mail("3", ADA, cites=("2",), days=1))
    await served.follow()
    (seen,) = await served.all()
    old, new = await served.conversations.split(first.conversation_id, seen.version, ["3"], ACTOR)
    await served.publish(mail("4", ADA, cites=("3",), days=2))
    await served.follow()
    moved = await served.conversations.messages(new.conversation_id, None, 10, ACTOR)

    assert (first.conversation_id, ADA, "2") == (new.split_from, new.requester, old.last_message_id)
    assert ["3", "4"] == [one.message_id for one in moved]
    with pytest.raises(FieldInvalid):
        await served.conversations.split(first.conversation_id, old.version, ["4"], ACTOR)


async def test_a_claim_is_advice_that_ends(served: Served) -> None:
    first = await begun(served)
    claimed = await served.conversations.claim(first.conversation_id, "Kim", ACTOR)
    with pytest.raises(MeshError) as refused:
        await served.conversations.claim(first.conversation_id, "Lee", ACTOR)
    await served.conversations.release(first.conversation_id, "Lee", ACTOR)
    still = await served.conversations.get(first.conversation_id, ACTOR)
    await served.conversations.release(first.conversation_id, "Kim", ACTOR)
    taken = await served.conversations.claim(first.conversation_id, "Lee", ACTOR)

    assert ("CONVERSATION_CLAIMED", "Kim", "Lee") == (refused.value.reason, still.claimed_by, taken.claimed_by)
    assert first.version == claimed.version


async def test_rule_6_the_original_sender_is_named_before_the_first_answer(served: Served) -> None:
    await served.publish(mail("1", "kim@ours.example", subject="Fwd: Help"))
    await served.follow()
    (first,) = await served.all()
    named = await served.conversations.set_original_sender(first.conversation_id, first.version, "Ada@A.example", ACTOR)
    with pytest.raises(MeshError) as refused:
        await served.conversations.set_original_sender(first.conversation_id, named.version, EVE, ACTOR)

    assert (ADA, "CONVERSATION_FINAL") == (named.requester, refused.value.reason)


async def test_another_scope_sees_nothing(served: Served) -> None:
    first = await begun(served)
    stranger = Actor("other", [new_id()])
    with pytest.raises(MeshError) as refused:
        await served.conversations.get(first.conversation_id, stranger)

    assert "CONVERSATION_NOT_FOUND" == refused.value.reason
    assert [] == await served.conversations.page(served.tenant, [], None, 10, stranger)


async def test_a_disconnect_leaves_no_conversation(served: Served) -> None:
    await begun(served)
    async with db.transaction(served.pool) as connection:
        await tenants.forget_mailbox(connection, served.tenant)
        left = [
            await connection.fetchval(f"SELECT count(*) FROM processor.{table} WHERE tenant_id = $1", served.tenant)  # noqa: S608
            for table in (
                "conversations",
                "conversation_messages",
                "conversation_links",
                "conversation_reports",
                "conversation_settings",
            )
        ]

    assert [0, 0, 0, 0, 0] == left
