"""The rules by which mail changes a conversation: loops, states, reopening, and the reasons that are kept."""

import pytest

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from mailmesh.mail.v1 import message_pb2
from services.processor.conversations.intake import conversation_id
from tests.unit.processor.conversations.desk import (
    ADA,
    BEN,
    DESK,
    EVE,
    TENANT,
    Desk,
    begun,
    mail,
)

AUTO = message_pb2.AUTOMATION_KIND_AUTO_REPLY


def test_rule_8_machine_mail_moves_nothing() -> None:
    desk = begun()
    before = pb2.Conversation()
    before.CopyFrom(desk.cards[desk.of_message["1"]].conversation)
    away = desk.receive(mail("3", ADA, cites=("2",), automation=AUTO, days=1))
    stranger = desk.receive(mail("4", EVE, cites=("2",), automation=AUTO))
    after = desk.conversation(away)

    assert None is stranger
    assert (pb2.AUTHOR_MACHINE, before.version + 1) == (away.message.author, after.version)  # type: ignore[union-attr]
    after.version = before.version
    assert before == after


def test_rule_8_the_fuse_ends_loops() -> None:
    desk = begun()
    taken = [desk.receive(mail(f"a{n}", ADA, cites=("2",), automation=AUTO, days=n / 10_000)) for n in range(9)]
    first = desk.cards[desk.of_message["1"]].conversation
    states = []
    for number in range(5):
        first.state = pb2.CONVERSATION_STATE_SOLVED
        desk.receive(mail(f"b{number}", ADA, cites=("2",), days=number / 10_000))
        states.append(first.state)

    assert 5 == sum(one is not None for one in taken)
    assert [pb2.CONVERSATION_STATE_OPEN] * 3 + [pb2.CONVERSATION_STATE_SOLVED] * 2 == states


def test_rule_8_two_meshes_that_answer_each_other_stop_at_their_fuses() -> None:
    desks = [Desk("desk@a.example"), Desk("desk@b.example")]
    written = {"sender": desks[0].address, "to": (desks[1].address,)}
    number, mails = 0, 0
    # The program of each mesh answers every mail that its mailbox takes in, at once.
    desks[0].receive(mail("m0", **written, is_sent=True))  # type: ignore[arg-type]
    taken = desks[1].receive(mail("m0", **written))  # type: ignore[arg-type]
    while taken is not None:
        mails += 1
        assert mails < 100
        number += 1
        author, reader = desks[number % 2], desks[(number + 1) % 2]
        answer = {
            "message_id": f"m{number}", "sender": author.address, "to": (reader.address,), "cites": (f"m{number - 1}",),
            "automation": AUTO, "days": number / 1_000_000,
        }  # fmt: skip
        author.receive(mail(**answer, is_sent=True))  # type: ignore[arg-type]
        taken = reader.receive(mail(**answer))  # type: ignore[arg-type]

    # The first mail is a person's. Each mailbox counts its own answers as well, five automatic mails in an hour.
    assert 6 == mails
    assert [{"desk@b.example"}, {"desk@a.example"}] == [
        {card.conversation.requester for card in desk.cards.values()} for desk in desks
    ]


def test_rule_8_the_fuse_is_a_choice_of_the_mailbox() -> None:
    desk = begun()
    desk.automatic_an_hour, desk.reopenings_an_hour = 7, 1
    taken = [desk.receive(mail(f"a{n}", ADA, cites=("2",), automation=AUTO, days=n / 10_000)) for n in range(9)]
    first, states = desk.cards[desk.of_message["1"]].conversation, []
    for number in range(2):
        first.state = pb2.CONVERSATION_STATE_SOLVED
        desk.receive(mail(f"b{number}", ADA, cites=("2",), days=number / 10_000))
        states.append(first.state)

    assert 7 == sum(one is not None for one in taken)
    assert [pb2.CONVERSATION_STATE_OPEN, pb2.CONVERSATION_STATE_SOLVED] == states


@pytest.mark.parametrize(("days", "is_reopened"), [(13, True), (15, False)])
def test_rule_9_a_reply_reopens_within_the_window(days: int, is_reopened: bool) -> None:
    desk = begun()
    first = desk.cards[desk.of_message["1"]].conversation
    first.state = pb2.CONVERSATION_STATE_SOLVED
    taken = desk.receive(mail("3", ADA, cites=("2",), days=days))

    assert is_reopened == (desk.conversation(taken).conversation_id == first.conversation_id)
    assert ("" if is_reopened else first.conversation_id) == desk.conversation(taken).follow_up_of


def test_rule_9_only_the_requester_follows_up_a_closed_conversation() -> None:
    desk = begun()
    desk.receive(mail("3", ADA, cc=(BEN,), cites=("2",)))
    first = desk.cards[desk.of_message["1"]].conversation
    first.state = pb2.CONVERSATION_STATE_CLOSED
    own, other = desk.receive(mail("4", ADA, cites=("2",))), desk.receive(mail("5", BEN, cites=("3",)))

    assert (first.conversation_id, "") == (desk.conversation(own).follow_up_of, desk.conversation(other).follow_up_of)
    assert first.conversation_id == desk.conversation(other).linked_to


def test_rule_12_what_was_tried_can_be_read() -> None:
    desk = begun()
    stranger = desk.receive(mail("3", EVE, cites=("2",), thread="t"))
    attempt = stranger.message.attempts[0]  # type: ignore[union-attr]

    assert (desk.of_message["1"], pb2.JOIN_REASON_REFERENCES, "NO_STANDING") == (
        attempt.conversation_id, attempt.kinship, attempt.refusal,
    )  # fmt: skip


def test_rule_12_each_event_says_why() -> None:
    desk = Desk()
    opened = desk.receive(mail("1", ADA, thread="t"))
    answered = desk.receive(mail("2", DESK, (ADA,), cites=("1",), is_sent=True))
    invited = desk.receive(mail("3", ADA, cc=(BEN,), cites=("2",)))
    stranger = desk.receive(mail("4", EVE, cites=("2",)))
    neighbour = desk.receive(mail("5", EVE, thread="t"))
    first = desk.cards[desk.of_message["1"]].conversation
    first.state = pb2.CONVERSATION_STATE_SOLVED
    reopened = desk.receive(mail("6", ADA, cites=("2",)))
    first.state = pb2.CONVERSATION_STATE_CLOSED
    followed = desk.receive(mail("7", ADA, cites=("2",)))

    assert [
        ["FIRST_MESSAGE"], ["REFERENCES", "WE_WROTE"], ["REFERENCES", "REFERENCES", "CUSTOMER_WROTE"],
        ["FIRST_MESSAGE", "NO_STANDING"], ["FIRST_MESSAGE", "NO_STANDING"], ["REFERENCES", "REOPENED"], ["FOLLOW_UP"],
    ] == [
        [one.reason for one in taken.changes]  # type: ignore[union-attr]
        for taken in (opened, answered, invited, stranger, neighbour, reopened, followed)
    ]  # fmt: skip


def test_a_message_has_the_places_of_its_new_text_and_the_send_whose_copy_it_is() -> None:
    desk, question = Desk(), mail("1", ADA)
    for kind, start, end in ((1, 0, 5), (2, 5, 9), (1, 9, 12)):
        question.message.body.spans.add(kind=kind, start=start, end=end)  # type: ignore[arg-type]
    answer = mail("2", DESK, (ADA,), cites=("1",), is_sent=True)
    answer.send_id = forged = "019a9f0e-7c1e-7000-8000-000000000009"
    stranger = mail("3", EVE)
    stranger.send_id = forged
    taken = [desk.receive(one) for one in (question, answer, stranger)]

    assert [[(0, 5), (9, 12)], [], []] == [
        [(span.start, span.end) for span in one.message.reply_spans] for one in taken if one is not None
    ]
    assert ["", forged, ""] == [one.message.send_id for one in taken if one is not None]


def test_our_answer_from_any_program_makes_it_pending_and_the_reply_open() -> None:
    desk = begun()
    first = desk.cards[desk.of_message["1"]].conversation
    states = [first.state]
    desk.receive(mail("3", ADA, cites=("2",), days=1))

    assert [pb2.CONVERSATION_STATE_PENDING, pb2.CONVERSATION_STATE_OPEN] == [*states, first.state]
    assert pb2.SIDE_US == first.waiting_on


def test_a_repetition_gives_the_same_ids_and_versions() -> None:
    def run() -> list[tuple[str, int]]:
        desk = begun()
        desk.receive(mail("3", EVE, cites=("2",)))
        return [(one, card.conversation.version) for one, card in desk.cards.items()]

    assert run() == run()
    assert conversation_id(TENANT, "1") == run()[0][0]
