"""The rules by which two customers never share a conversation: who joins one, and who does not."""

import pytest

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from services.meshkit.addresses import plain
from services.meshkit.persons import Person, take_out
from services.processor.conversations.kinship import MAX_HOPS
from services.processor.conversations.letter import authenticity_of
from tests.unit.processor.conversations.desk import (
    ADA,
    AGENT,
    BEN,
    DESK,
    EVE,
    FAIL,
    NONE,
    Desk,
    begun,
    mail,
    refusals,
)


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


def test_rule_3_an_unproven_sender_brings_nobody_into_a_new_conversation() -> None:
    desk = Desk()
    desk.receive(mail("1", AGENT, cc=(BEN, EVE), proof=NONE))
    one, two = desk.receive(mail("2", BEN, cites=("1",))), desk.receive(mail("3", EVE, cites=("1",)))

    assert [BEN, EVE] == [desk.conversation(one).requester, desk.conversation(two).requester]
