"""The twelve rules by which two customers never share a conversation."""

import pytest

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from mailmesh.mail.v1 import message_pb2
from services.meshkit.addresses import plain
from services.meshkit.persons import Person, take_out
from services.processor.conversations.intake import conversation_id
from services.processor.conversations.kinship import MAX_HOPS
from services.processor.conversations.letter import authenticity_of
from tests.unit.processor.conversations.desk import AGENT, DESK, FAIL, NONE, TENANT, Desk, mail

ADA, BEN, EVE = "ada@a.example", "ben@b.example", "eve@e.example"
AUTO = message_pb2.AUTOMATION_KIND_AUTO_REPLY


def begun() -> Desk:
    """A mailbox with Ada's question `1` in thread `t`, answered by `2`."""
    desk = Desk()
    desk.receive(mail("1", ADA, thread="t"))
    desk.receive(mail("2", DESK, (ADA,), cites=("1",), is_sent=True, thread="t"))
    return desk


def refusals(desk: Desk, taken: object) -> list[str]:
    return [one.refusal for one in taken.message.attempts]  # type: ignore[attr-defined]


def test_rule_1_a_join_needs_kinship_and_standing() -> None:
    desk = begun()
    first = desk.of_message["1"]
    answer = desk.receive(mail("3", ADA, cites=("1", "2")))
    stranger = desk.receive(mail("4", EVE, cites=("1", "2")))
    unrelated = desk.receive(mail("5", ADA))

    assert first == desk.conversation(answer).conversation_id
    assert (EVE, first, True) == (
        desk.conversation(stranger).requester, desk.conversation(stranger).linked_to,
        desk.conversation(stranger).is_quarantined,
    )  # fmt: skip
    assert ["conversation.opened", "conversation.quarantined"] == [one.event_type for one in stranger.changes]  # type: ignore[union-attr]
    assert (ADA, "") == (desk.conversation(unrelated).requester, desk.conversation(unrelated).linked_to)
    assert 3 == len(desk.cards)


def test_rule_1_a_visible_copy_of_the_requester_gives_standing_and_a_blind_one_does_not() -> None:
    desk = begun()
    desk.receive(mail("3", ADA, cc=(BEN,), bcc=(EVE,), cites=("2",)))
    joined = desk.receive(mail("4", BEN, cites=("3",)))
    blind = desk.receive(mail("5", EVE, cites=("3",)))

    assert desk.of_message["1"] == desk.conversation(joined).conversation_id
    assert pb2.AUTHOR_PARTICIPANT == joined.message.author  # type: ignore[union-attr]
    assert EVE == desk.conversation(blind).requester


def test_rule_1_a_sender_without_an_address_is_not_an_erased_requester() -> None:
    desk = begun()
    desk.accepts_unproven = True
    first = desk.cards[desk.of_message["1"]].conversation
    assert take_out(first, Person(ADA))
    nobody = desk.receive(mail("3", "", cites=("1", "2"), thread="t", proof=NONE))

    assert ("", None) == (first.requester, nobody)


def test_rule_1_a_participant_cannot_bring_others_in() -> None:
    desk = begun()
    desk.receive(mail("3", ADA, cc=(BEN,), cites=("2",)))
    desk.receive(mail("4", BEN, cc=(EVE,), cites=("3",)))
    outsider = desk.receive(mail("5", EVE, cites=("4",)))

    assert (EVE, ["NO_STANDING"]) == (desk.conversation(outsider).requester, refusals(desk, outsider))


def test_rule_1_the_same_subject_and_numbers_join_nothing() -> None:
    desk = begun()
    other = desk.receive(mail("3", BEN, subject="Re: Offer [#1]"))

    assert (BEN, 2) == (desk.conversation(other).requester, len(desk.cards))


def test_rule_2_the_providers_thread_is_kinship_only() -> None:
    desk = begun()
    stranger = desk.receive(mail("3", EVE, thread="t"))
    customer = desk.receive(mail("4", ADA, thread="t"))

    assert (EVE, False) == (desk.conversation(stranger).requester, desk.conversation(stranger).is_quarantined)
    assert ["conversation.opened", "conversation.linked"] == [one.event_type for one in stranger.changes]  # type: ignore[union-attr]
    assert pb2.JOIN_REASON_PROVIDER_THREAD == customer.message.joined_by  # type: ignore[union-attr]


def test_rule_3_a_sender_who_failed_never_joins_or_adds_anybody() -> None:
    desk = begun()
    desk.accepts_unproven = True
    forged = desk.receive(mail("3", ADA, cc=(EVE,), cites=("2",), proof=FAIL))

    assert ["SENDER_FAILED"] == refusals(desk, forged)
    assert [] == list(desk.conversation(forged).participants)
    assert pb2.CONVERSATION_STATE_PENDING == desk.cards[desk.of_message["1"]].conversation.state


@pytest.mark.parametrize("accepts", [True, False])
def test_rule_3_an_unproven_sender_follows_the_setting(accepts: bool) -> None:
    desk = begun()
    desk.accepts_unproven = accepts
    taken = desk.receive(mail("3", ADA, cites=("2",), proof=NONE))

    assert accepts == (desk.of_message["1"] == desk.conversation(taken).conversation_id)


def test_rule_3_only_the_topmost_result_counts() -> None:
    event = mail("1", ADA, proof=FAIL, headers=(("Authentication-Results", "mx.evil.example; dmarc=pass"),))

    assert pb2.AUTHENTICITY_FAIL == authenticity_of(event.message)


def test_rule_3_a_forged_agent_is_none() -> None:
    desk = begun()
    forged = desk.receive(mail("3", AGENT, (DESK, EVE), cites=("2",), proof=FAIL))

    assert ["SENDER_FAILED"] == refusals(desk, forged)
    assert [] == list(desk.cards[desk.of_message["1"]].conversation.participants)


def test_rule_4_the_requester_never_changes_by_mail() -> None:
    desk = begun()
    desk.receive(mail("3", ADA, cc=(BEN,), reply_to=(EVE,), cites=("2",)))
    desk.receive(mail("4", BEN, cites=("3",)))
    desk.receive(mail("5", DESK, (BEN,), cites=("4",), is_sent=True))

    assert [ADA] == [card.conversation.requester for card in desk.cards.values()]


def test_rule_5_mail_follows_a_merge_and_is_checked_at_the_target() -> None:
    desk = begun()
    desk.receive(mail("10", ADA, subject="Other"))
    first, second = desk.of_message["1"], desk.of_message["10"]
    desk.receive(mail("3", ADA, cc=(BEN,), cites=("2",)))
    desk.cards[first].conversation.merged_into = second
    desk.cards[first].conversation.state = pb2.CONVERSATION_STATE_MERGED
    followed = desk.receive(mail("4", ADA, cites=("2",)))
    refused = desk.receive(mail("5", BEN, cites=("3",)))

    assert second == desk.conversation(followed).conversation_id
    assert (BEN, ["NO_STANDING"]) == (desk.conversation(refused).requester, refusals(desk, refused))


def test_rule_5_pointers_that_do_not_end_lead_nowhere() -> None:
    desk = begun()
    first = desk.of_message["1"]
    desk.cards[first].conversation.merged_into = first
    circled = desk.receive(mail("3", ADA, cites=("2",)))

    assert (first != desk.conversation(circled).conversation_id, 8) == (True, MAX_HOPS)


def test_rule_6_an_agents_forward_begins_a_conversation_of_the_forwarder() -> None:
    desk = begun()
    forwarded = desk.receive(mail("3", AGENT, subject="WG: Offer", cites=("1",), is_forward=True))

    assert (AGENT, ["FORWARD"], True) == (
        desk.conversation(forwarded).requester, refusals(desk, forwarded), forwarded.card.is_forwarded,  # type: ignore[union-attr]
    )  # fmt: skip


def test_rule_6_the_answer_of_a_third_party_stays_with_the_third_party() -> None:
    desk = begun()
    sent = desk.receive(mail("3", DESK, (BEN,), subject="Fwd: Offer", cites=("1", "2"), is_sent=True))
    answer = desk.receive(mail("4", BEN, cites=("1", "2", "3")))

    assert desk.conversation(sent).conversation_id == desk.conversation(answer).conversation_id
    assert BEN == desk.conversation(answer).requester


def test_rule_7_the_customer_of_a_carrier_is_in_reply_to() -> None:
    form = "form@web.example"
    desk = Desk(carriers=(form,))
    one = desk.receive(mail("1", form, reply_to=(ADA,), thread="t"))
    two = desk.receive(mail("2", form, reply_to=(BEN,), cites=("1",), thread="t"))

    assert [ADA, BEN] == [desk.conversation(one).requester, desk.conversation(two).requester]
    assert ["CARRIER"] == refusals(desk, two)


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
    # The program of each mesh answers every mail that its desk takes in, at once.
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

    # The first mail is a person's. Each desk counts its own answers as well, five automatic mails in an hour.
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


def test_rule_10_addresses_are_compared_in_one_form() -> None:
    desk = begun()
    joined = desk.receive(mail("3", "Ada@A.EXAMPLE", cites=("2",)))
    tagged = desk.receive(mail("4", "ada+2@a.example", cites=("2",)))

    assert desk.of_message["1"] == desk.conversation(joined).conversation_id
    assert "ada+2@a.example" == desk.conversation(tagged).requester
    assert ("x@xn--bcher-kva.example", "") == (plain("X@BÜCHER.example"), plain("no address"))
    assert plain("a.b@gmail.com") != plain("ab@gmail.com")


@pytest.mark.parametrize(
    ("to", "headers", "meant"),
    [
        ((DESK,), (), DESK),
        (("list@x.example",), (("Delivered-To", "Desk+7@ours.example"),), "desk+7@ours.example"),
        ((DESK,), (("X-Original-To", "desk+sales@ours.example"), ("Delivered-To", DESK)), "desk+sales@ours.example"),
        ((DESK,), (("Delivered-To", "eve@e.example"),), DESK),
        (("list@x.example",), (("Delivered-To", "no address"),), ""),
    ],
)
def test_rule_10_the_field_of_the_last_hop_names_the_address_that_was_meant(
    to: tuple[str, ...], headers: tuple[tuple[str, str], ...], meant: str
) -> None:
    desk = Desk()

    assert meant == desk.conversation(desk.receive(mail("1", ADA, to, headers=headers))).mailbox_address


def test_rule_11_a_reply_token_is_kinship_and_no_identity() -> None:
    desk = begun()
    token = desk.cards[desk.of_message["1"]].conversation.reply_token
    address = f"desk+{token}@ours.example"
    joined = desk.receive(mail("3", ADA, (address,)))
    stranger = desk.receive(mail("4", EVE, (address,)))

    assert pb2.JOIN_REASON_REPLY_TOKEN == joined.message.joined_by  # type: ignore[union-attr]
    assert (EVE, True) == (desk.conversation(stranger).requester, desk.conversation(stranger).is_quarantined)


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


def test_two_replies_to_a_mail_that_was_never_seen_share_a_conversation() -> None:
    desk = Desk()
    one = desk.receive(mail("2", ADA, cites=("unseen",)))
    two = desk.receive(mail("3", ADA, cites=("unseen",)))
    other = desk.receive(mail("4", BEN, cites=("unseen",)))

    assert desk.conversation(one).conversation_id == desk.conversation(two).conversation_id
    assert BEN == desk.conversation(other).requester


def test_an_agents_mail_to_one_customer_does_not_join_the_conversation_of_another() -> None:
    desk = begun()
    sent = desk.receive(mail("3", DESK, (BEN,), cites=("2",), thread="t", is_sent=True))

    assert (BEN, ["RECIPIENTS_ELSEWHERE"]) == (desk.conversation(sent).requester, refusals(desk, sent))


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


def test_rule_3_an_unproven_sender_brings_nobody_into_a_new_conversation() -> None:
    desk = Desk()
    desk.receive(mail("1", AGENT, cc=(BEN, EVE), proof=NONE))
    one, two = desk.receive(mail("2", BEN, cites=("1",))), desk.receive(mail("3", EVE, cites=("1",)))

    assert [BEN, EVE] == [desk.conversation(one).requester, desk.conversation(two).requester]
