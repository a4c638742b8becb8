"""Threads on a real PostgreSQL: by headers and conversation, never by subject, never for outsiders."""

import random
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from mailmesh.mail.v1 import message_pb2
from mailmesh.mail.v1.message_pb2 import (
    THREAD_REASON_CHILD_ARRIVED_FIRST,
    THREAD_REASON_CONVERSATION,
    THREAD_REASON_IN_REPLY_TO,
    THREAD_REASON_REFERENCES,
    THREAD_REASON_STARTED,
)
from services.meshkit import db
from services.processor.mail.store import changes, facts
from services.processor.mail.threads import Threads
from tests.store.processor.stream.conftest import OTHER_TENANT, TENANT

ANNA, BEN, EVE = "anna@a.example", "ben@b.example", "eve@evil.example"
Arrive = Callable[..., Coroutine[Any, Any, message_pb2.Thread]]


async def threads_of(
    connection: db.Connection, tenant_id: str, mails: Mapping[str, message_pb2.MailMessage]
) -> Threads:
    known = await facts.read(connection, tenant_id, list(mails))
    return await Threads.of(connection, tenant_id, mails, known)


async def save(connection: db.Connection, tenant_id: str, threads: Threads) -> None:
    """Write the additions of mails to threads, as the holder of the mailbox."""
    held = "INSERT INTO processor.mailboxes (tenant_id, fence) VALUES ($1, 1) ON CONFLICT DO NOTHING"
    await connection.execute(held, tenant_id)
    await changes.write(tenant_id, 1, [], threads.additions, datetime.now(UTC), None, connection, [], [])


@pytest.fixture
def arrive(pool: db.Pool) -> Arrive:
    async def assign(
        message_id: str,
        sender: str = BEN,
        to: str = ANNA,
        conversation: str = "",
        answers: str = "",
        references: tuple[str, ...] = (),
        tenant_id: str = TENANT,
    ) -> message_pb2.Thread:
        mail = message_pb2.MailMessage(
            subject="Re: the same for all",
            internet_message_id=f"<{message_id}@x>",
            in_reply_to=f"<{answers}@x>" if answers else "",
            references=[f"<{reference}@x>" for reference in references],
        )
        mail.from_address.address = sender
        mail.to.add(address=to)
        mail.thread.provider_thread_id = conversation or f"c-{message_id}"
        async with db.connection(pool) as connection, connection.transaction():
            threads = await threads_of(connection, tenant_id, {message_id: mail})
            found = threads.assign(message_id)
            await save(connection, tenant_id, threads)
            return found

    return assign


async def test_a_mail_without_relatives_begins_a_thread(arrive: Arrive) -> None:
    first, second = await arrive("m1"), await arrive("m2")

    assert (THREAD_REASON_STARTED, "c-m1", "") == (first.reason, first.provider_thread_id, first.reason_message_id)
    assert first.thread_id != second.thread_id


async def test_an_answer_joins_by_in_reply_to_when_its_sender_took_part(arrive: Arrive) -> None:
    first = await arrive("m1", BEN, ANNA)
    answer = await arrive("m2", ANNA.upper(), BEN, answers="m1")

    assert (first.thread_id, THREAD_REASON_IN_REPLY_TO, "<m1@x>") == (
        answer.thread_id, answer.reason, answer.reason_message_id,
    )  # fmt: skip


async def test_an_answer_joins_in_whichever_form_programs_write_a_domain(arrive: Arrive) -> None:
    first = await arrive("m1", BEN, "Änne@Straße.example")
    answer = await arrive("m2", "änne@xn--strae-oqa.example", BEN, answers="m1")
    other = await arrive("m3", "änne@strasse.example", BEN, answers="m1")

    assert (first.thread_id, THREAD_REASON_IN_REPLY_TO) == (answer.thread_id, answer.reason)
    assert first.thread_id != other.thread_id


async def test_an_answer_of_a_sender_with_another_kind_of_address_joins(arrive: Arrive) -> None:
    exchange = "/o=Contoso/ou=Exchange/cn=Recipients/cn=Anna"
    first = await arrive("m1", BEN, exchange)
    answer = await arrive("m2", exchange.upper(), BEN, answers="m1")

    assert (first.thread_id, THREAD_REASON_IN_REPLY_TO) == (answer.thread_id, answer.reason)


async def test_an_answer_whose_parent_is_unknown_joins_by_the_nearest_reference(arrive: Arrive) -> None:
    first = await arrive("m1")
    await arrive("m2", EVE, ANNA)
    answer = await arrive("m9", ANNA, BEN, answers="m8", references=("m1", "m8"))

    assert (first.thread_id, THREAD_REASON_REFERENCES, "<m1@x>") == (
        answer.thread_id, answer.reason, answer.reason_message_id,
    )  # fmt: skip


async def test_an_outsider_who_forges_in_reply_to_joins_nothing(arrive: Arrive) -> None:
    first = await arrive("m1", BEN, ANNA)
    forged = await arrive("m2", EVE, ANNA, answers="m1", references=("m1",))

    assert THREAD_REASON_STARTED == forged.reason
    assert first.thread_id != forged.thread_id


async def test_an_answer_after_a_forgery_still_joins_the_true_thread(arrive: Arrive) -> None:
    first = await arrive("m1", BEN, ANNA)
    await arrive("m2", EVE, ANNA, answers="m1")

    assert first.thread_id == (await arrive("m3", ANNA, BEN, answers="m1")).thread_id


async def test_a_new_person_joins_when_the_conversation_agrees(arrive: Arrive) -> None:
    """A stranger answers a mail that a participant has forwarded."""
    first = await arrive("m1", conversation="c")
    answer = await arrive("m2", EVE, ANNA, conversation="c", answers="m1")

    assert (first.thread_id, THREAD_REASON_IN_REPLY_TO) == (answer.thread_id, answer.reason)


async def test_the_conversation_alone_is_enough(arrive: Arrive) -> None:
    first = await arrive("m1", conversation="c")
    second = await arrive("m2", conversation="c")

    assert (first.thread_id, THREAD_REASON_CONVERSATION) == (second.thread_id, second.reason)


async def test_headers_count_more_than_the_conversation(arrive: Arrive) -> None:
    first = await arrive("m1", conversation="c1")
    await arrive("m2", conversation="c2")
    answer = await arrive("m3", ANNA, BEN, conversation="c2", answers="m1")

    assert first.thread_id == answer.thread_id


async def test_a_parent_that_comes_after_its_child_joins_the_childs_thread(arrive: Arrive) -> None:
    child = await arrive("m2", ANNA, BEN, answers="m1")
    parent = await arrive("m1", BEN, ANNA)

    assert (child.thread_id, THREAD_REASON_CHILD_ARRIVED_FIRST) == (parent.thread_id, parent.reason)


async def test_a_parent_does_not_join_a_stranger_who_claims_to_answer_it(arrive: Arrive) -> None:
    claimed = await arrive("m2", EVE, ANNA, answers="m1")
    parent = await arrive("m1", BEN, ANNA)

    assert THREAD_REASON_STARTED == parent.reason
    assert claimed.thread_id != parent.thread_id


async def test_brothers_meet_before_their_parent_comes(arrive: Arrive) -> None:
    first = await arrive("m2", ANNA, BEN, answers="m1")
    second = await arrive("m3", BEN, ANNA, answers="m1")
    parent = await arrive("m1", BEN, ANNA)

    assert first.thread_id == second.thread_id == parent.thread_id


async def test_a_thread_once_given_never_changes(arrive: Arrive) -> None:
    first = await arrive("m2", EVE, ANNA, answers="m1")
    await arrive("m1", EVE, ANNA)

    assert first == await arrive("m2", EVE, ANNA, conversation="c-m2", answers="m1")


async def test_threads_of_two_mailboxes_never_meet(arrive: Arrive) -> None:
    first = await arrive("m1", conversation="c")
    other = await arrive("m2", ANNA, BEN, conversation="c", answers="m1", tenant_id=OTHER_TENANT)

    assert (True, THREAD_REASON_STARTED) == (first.thread_id != other.thread_id, other.reason)


async def test_a_mail_that_answers_itself_begins_a_thread(arrive: Arrive) -> None:
    assert THREAD_REASON_STARTED == (await arrive("m1", answers="m1", references=("m1",))).reason


async def test_a_mail_without_sender_and_id_begins_a_thread(pool: db.Pool) -> None:
    async with db.connection(pool) as connection, connection.transaction():
        thread = (await threads_of(connection, TENANT, {"m1": message_pb2.MailMessage()})).assign("m1")

    assert THREAD_REASON_STARTED == thread.reason


def some_mails(chance: random.Random) -> dict[str, message_pb2.MailMessage]:
    """Return mails that answer each other, some of them forged, late, or without any reference to their thread."""
    people = (ANNA, BEN, EVE)
    mails = {}
    for number in range(12):
        mails[f"m{number}"] = mail = message_pb2.MailMessage(internet_message_id=f"<m{number}@x>")
        mail.from_address.address, to = chance.sample(people, 2)
        mail.to.add(address=to)
        if chance.random() < 0.7:
            mail.in_reply_to = f"<m{chance.randrange(12)}@x>"
        mail.references.extend(f"<m{chance.randrange(12)}@x>" for _ in range(chance.randrange(3)))
        mail.thread.provider_thread_id = chance.choice(("", f"c{number}", "c1", "c2"))
    return mails


@pytest.mark.parametrize("seed", range(12))
async def test_mails_of_one_commit_are_joined_as_if_they_came_one_by_one(pool: db.Pool, seed: int) -> None:
    mails = some_mails(random.Random(seed))
    async with db.connection(pool) as connection, connection.transaction():
        together = await threads_of(connection, TENANT, mails)
        found = {message_id: together.assign(message_id) for message_id in mails}
        await save(connection, TENANT, together)
        single = {}
        for message_id, mail in mails.items():
            threads = await threads_of(connection, OTHER_TENANT, {message_id: mail})
            single[message_id] = threads.assign(message_id)
            await save(connection, OTHER_TENANT, threads)
        again = await threads_of(connection, TENANT, mails)

        assert found == {message_id: again.assign(message_id) for message_id in mails}
    assert shape(single) == shape(found)


def shape(found: dict[str, message_pb2.Thread]) -> list[tuple[int, int, str]]:
    """Return which messages share a thread, and why, whatever the ids of the threads are."""
    names: dict[str, int] = {}
    return [(names.setdefault(t.thread_id, len(names)), t.reason, t.reason_message_id) for t in found.values()]
