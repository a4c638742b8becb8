"""The mail of a tree of MIME parts."""

from typing import Any

from mailmesh.mail.v1 import message_pb2
from services.message.addresses import MAX_LIST_CHARACTERS, parse_addresses
from services.message.bodies import make_body
from services.message.bounds import MAX_RECIPIENTS, SHORT_CHARACTERS, Cuts
from services.message.fields import timestamp
from services.message.headers import Headers, automation, importance
from services.message.mime import MimeTree


def map_tree(tree: MimeTree, cuts: Cuts, **more: Any) -> message_pb2.MailMessage:
    """Map a tree of parts, with its headers, to a mail. The mail is not bounded yet (`bounds.bound`).

    Args:
        tree: The parts.
        cuts: Notes what was left out.
        more: Further fields of the mail, which no header has.
    """
    headers = tree.headers
    is_subject_cut = len(headers.first("Subject")) > SHORT_CHARACTERS
    cuts.are_headers_cut = cuts.are_headers_cut or headers.is_cut or is_subject_cut
    parts = tree.shown()
    message = message_pb2.MailMessage(
        subject=headers.words("Subject"),
        sent_at=timestamp(headers.date()),
        headers=[message_pb2.Header(name=name, value=value) for name, value in headers.fields],
        importance=importance(headers),
        attachments=tree.attachments(parts, cuts),
        automation=automation(headers, tree.media_types()),
        body=make_body(parts, cuts),
        **more,
    )
    _set_people(message, headers, cuts)
    message.internet_message_id = next(iter(headers.message_ids("Message-ID")), "")
    message.in_reply_to = headers.answered_id()
    message.references.extend(headers.message_ids("References"))
    return message


def _set_people(message: message_pb2.MailMessage, headers: Headers, cuts: Cuts) -> None:
    authors, senders = parse_addresses(headers.first("From"), 1), parse_addresses(headers.first("Sender"), 1)
    if authors:
        message.from_address.CopyFrom(authors[0])
    if senders and (not authors or senders[0].address.casefold() != authors[0].address.casefold()):
        message.sender.CopyFrom(senders[0])
    characters, addresses = MAX_LIST_CHARACTERS, MAX_RECIPIENTS
    for name, recipients in (
        ("Reply-To", message.reply_to), ("To", message.to), ("Cc", message.cc), ("Bcc", message.bcc),
    ):  # fmt: skip
        for value in headers.all(name):
            found = parse_addresses(cuts.start(value, characters, "are_recipients_cut"), addresses)
            recipients.extend(found)
            characters, addresses = max(0, characters - len(value)), addresses - len(found)
    cuts.are_recipients_cut = cuts.are_recipients_cut or not addresses
