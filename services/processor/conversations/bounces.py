"""Bounces of a conversation's messages, as events of the conversation; the mail of a bounce itself joins none.

Anybody can write a report. It counts when it cites a message that the mailbox sent in the conversation, and reports
about people of the conversation. It moves no state and no time, and the fuse for messages of programs bounds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from mailmesh.conversation.v1 import event_pb2
from mailmesh.mail.v1 import message_pb2
from services.meshkit.addresses import plain
from services.processor.conversations.intake import note_automatic
from services.processor.conversations.kinship import MAX_HOPS, Card, is_fuse_blown, people_of
from services.processor.conversations.letter import Letter


@dataclass(frozen=True)
class Report:
    """A report about a message.

    Args:
        message_id: The provider's id of the mail with the report.
        recipients: Those whom the message did not reach.
    """

    message_id: str
    recipients: Sequence[message_pb2.ReportedRecipient]


def report_of(letter: Letter) -> Report | None:
    """Return the report of a mail; None when it has none that may count: the provider judged its sender as failed."""
    if not letter.bounced_id or letter.authenticity == pb2.AUTHENTICITY_FAIL:
        return None
    return Report(letter.message_id, letter.bounced)


def bounce_of(
    report: Report,
    sent: pb2.ConversationMessage,
    cards: dict[str, Card],
    letter: Letter,
    settings: pb2.ConversationSettings,
) -> tuple[Card, event_pb2.ConversationBounce] | None:
    """Match a report with a message that the mailbox sent.

    Args:
        report: The report.
        sent: The message, which the report cites.
        cards: The message's conversation, and those that it was merged into. The last one's fuse is changed.
        letter: The mail that is taken in: the report's, or the copy of the message that came behind its report.
        settings: The tenant's settings.

    Returns:
        The conversation and its bounce; None when it reports about no person of it, or when there were too many.
    """
    card = cards.get(sent.conversation_id)
    for _ in range(MAX_HOPS):
        if card is None or not card.conversation.merged_into:
            break
        card = cards.get(card.conversation.merged_into)
    if card is None or sent.direction != pb2.DIRECTION_OUTBOUND or is_fuse_blown(letter, card, settings):
        return None
    people = people_of(card.conversation)
    named: dict[str, message_pb2.ReportedRecipient] = {}
    for one in report.recipients:
        if (address := plain(one.address)) in people:
            named.setdefault(address, one)
    if not named:
        return None
    note_automatic(card, letter.at)
    return card, event_pb2.ConversationBounce(
        report_message_id=report.message_id,
        bounced_message_id=sent.message_id,
        recipients=[
            event_pb2.BouncedRecipient(address=address, bounce=one.bounce, status=one.status)
            for address, one in named.items()
        ],
    )
