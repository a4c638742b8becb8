"""Answers in conversations: committed with the version that their author has seen, or refused."""

import asyncio

import pytest

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from mailmesh.processor.v1 import send_service_pb2 as sends
from services.meshkit.errors import FieldInvalid, MeshError
from services.meshkit.ids import new_id
from services.processor.outbox.requests import Sends
from tests.store.processor.conversations.serving import ACTOR, ADA, EVE, Served, begun
from tests.store.processor.ground import Ground
from tests.store.processor.outbox.sending import Outgoing
from tests.unit.processor.conversations.desk import DESK, mail


class Desk(Served):
    """A tenant with conversations that may send.

    Args:
        ground: Everything except the worker.
    """

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground.processor)
        self.key_id = new_id()
        self.sends: Sends = Outgoing(ground, None, "").sends()  # type: ignore[arg-type]

    async def begin(self) -> None:
        await super().begin()
        await self.pool.execute(
            "UPDATE processor.tenants SET granted_abilities = $2 WHERE tenant_id = $1",
            self.tenant,
            ["mail.read", "mail.send"],
        )

    async def answer(
        self, key: str, identity: str, version: int, message_id: str = "2", *, is_draft: bool = False
    ) -> None:
        reply = sends.Reply(message_id=message_id, text="Soon.", conversation_id=identity, expected_version=version)
        request = sends.SendRequest(idempotency_key=key, tenant_id=self.tenant, reply=reply, is_draft_only=is_draft)
        await self.sends.accept(request, key_id=self.key_id)

    async def count(self) -> int:
        return int(await self.pool.fetchval("SELECT count(*) FROM processor.sends WHERE tenant_id = $1", self.tenant))


@pytest.fixture
async def desk(ground: Ground) -> Desk:
    made = Desk(ground)
    await made.begin()
    return made


async def test_an_answer_to_the_present_version_is_committed_and_told(desk: Desk) -> None:
    first = await begun(desk)
    await desk.answer("one", first.conversation_id, first.version)
    (after,) = await desk.all()
    told = (await desk.told())[-1]
    send_id = str(await desk.pool.fetchval("SELECT send_id FROM processor.sends WHERE tenant_id = $1", desk.tenant))

    assert first.version + 1 == after.version == told.conversation.version
    assert ("conversation.answer_committed", desk.key_id, send_id) == (told.event_type, told.actor, told.send_id)
    assert first.state == after.state


async def test_an_answer_to_a_version_that_has_passed_is_refused_with_the_newest_message(desk: Desk) -> None:
    first = await begun(desk)
    await desk.publish(mail("3", ADA, cites=("2",), days=1))
    await desk.follow()
    with pytest.raises(MeshError) as refused:
        await desk.answer("one", first.conversation_id, first.version)
    (present,) = await desk.all()

    assert ("CONVERSATION_CHANGED", "3", str(present.version)) == (
        refused.value.reason, refused.value.metadata["last_message_id"], refused.value.metadata["version"],
    )  # fmt: skip
    assert 0 == await desk.count()


async def test_of_two_answers_to_one_version_one_is_committed(desk: Desk) -> None:
    first = await begun(desk)
    both = await asyncio.gather(
        *(desk.answer(key, first.conversation_id, first.version) for key in ("one", "two", "three")),
        return_exceptions=True,
    )

    assert ["CONVERSATION_CHANGED"] * 2 == [one.reason for one in both if isinstance(one, MeshError)]
    assert 1 == await desk.count()


async def test_a_repeated_answer_is_the_same_send_whatever_the_version_is(desk: Desk) -> None:
    first = await begun(desk)
    await desk.answer("one", first.conversation_id, first.version)
    await desk.answer("one", first.conversation_id, first.version)
    (after,) = await desk.all()

    assert (1, first.version + 1) == (await desk.count(), after.version)


async def test_a_draft_is_checked_and_changes_no_version(desk: Desk) -> None:
    first = await begun(desk)
    await desk.answer("one", first.conversation_id, first.version, is_draft=True)
    with pytest.raises(MeshError) as refused:
        await desk.answer("two", first.conversation_id, first.version - 1, is_draft=True)

    assert [first] == await desk.all()
    assert "CONVERSATION_CHANGED" == refused.value.reason


async def test_a_mail_of_another_customer_is_not_answered_in_a_conversation(desk: Desk) -> None:
    first = await begun(desk)
    await desk.publish(mail("20", EVE))
    await desk.follow()
    for message_id in ("20", "unknown"):
        with pytest.raises(FieldInvalid, match="mail of the conversation"):
            await desk.answer(message_id, first.conversation_id, first.version, message_id)

    assert 0 == await desk.count()


async def test_a_mail_of_a_merged_conversation_is_answered_where_it_leads(desk: Desk) -> None:
    first = await begun(desk)
    await desk.publish(mail("10", ADA, subject="Other"))
    await desk.follow()
    into = next(one for one in await desk.all() if one.conversation_id != first.conversation_id)
    merged = await desk.conversations.merge(first.conversation_id, first.version, into.conversation_id, ACTOR)
    await desk.answer("one", into.conversation_id, into.version)
    with pytest.raises(MeshError) as refused:
        await desk.answer("two", first.conversation_id, merged.version)

    assert "CONVERSATION_FINAL" == refused.value.reason
    assert 1 == await desk.count()


async def test_a_conversation_of_another_tenant_is_unknown(desk: Desk, ground: Ground) -> None:
    other = Desk(ground)
    await other.begin()
    theirs = await begun(other)
    for identity in (theirs.conversation_id, new_id()):
        with pytest.raises(MeshError) as refused:
            await desk.answer(identity, identity, theirs.version)
        assert "CONVERSATION_NOT_FOUND" == refused.value.reason

    assert [theirs] == await other.all()


@pytest.mark.parametrize("fields", [{"expected_version": 2}, {"expected_version": -1}, {"conversation_id": new_id()}])
async def test_a_version_and_a_conversation_go_together(desk: Desk, fields: dict[str, object]) -> None:
    reply = sends.Reply(message_id="2", text="Soon.", **fields)  # type: ignore[arg-type]
    with pytest.raises(FieldInvalid, match="version of the conversation"):
        await desk.sends.accept(sends.SendRequest(idempotency_key="one", tenant_id=desk.tenant, reply=reply))


async def test_the_sent_answer_joins_its_conversation(desk: Desk) -> None:
    first = await begun(desk)
    await desk.answer("one", first.conversation_id, first.version)
    await desk.publish(mail("3", DESK, (ADA,), cites=("2",), is_sent=True, days=1))
    await desk.follow()
    (after,) = await desk.all()

    assert (first.version + 2, "3") == (after.version, after.last_message_id)
    assert pb2.CONVERSATION_STATE_PENDING == after.state
