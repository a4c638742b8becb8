"""Gmail's message to the contract's mail: pure, and never an exception whatever the object holds."""

import html
from collections.abc import Iterator, Mapping
from typing import Any

from mailmesh.mail.v1 import message_pb2
from services.meshkit.ids import is_id
from services.processor.mail.message.addresses import MAX_LIST_CHARACTERS, parse_addresses
from services.processor.mail.message.bodies import make_body
from services.processor.mail.message.bounds import MAX_RECIPIENTS, SHORT_CHARACTERS, Cuts, bound, raw_budget
from services.processor.mail.message.fields import epoch_milliseconds, members, number, text, texts, timestamp
from services.processor.mail.message.headers import Headers, automation, importance
from services.processor.mail.message.mime import MimeTree
from services.processor.mail.message.raw import bounded_struct
from services.processor.mail.sources.mapped import MappedMessage
from services.providers.marks import GMAIL_SEND

LABEL_UNREAD = "UNREAD"
LABEL_DRAFT = "DRAFT"
LABEL_SENT = "SENT"


def map_message(raw: dict[str, Any]) -> MappedMessage:
    """Maps a message as Gmail gives it in the format `full`.

    Args:
        raw: The object. Bodies that Gmail holds back as attachments (`detached_bodies`) are used when their `data` was
            put beside the `attachmentId`.

    Returns:
        The mail within its bounds. What the object lacks, or has in another shape, is empty.
    """
    tree, cuts = MimeTree(members(raw, "payload")), Cuts()
    headers, labels = tree.headers, sorted(set(texts(raw, "labelIds")))
    cuts.are_headers_cut = headers.is_cut or len(headers.first("Subject")) > SHORT_CHARACTERS
    parts = tree.shown()
    message = message_pb2.MailMessage(
        subject=headers.words("Subject"),
        sent_at=timestamp(headers.date()),
        mail_received_at=timestamp(received := epoch_milliseconds(number(raw, "internalDate"))),
        headers=[message_pb2.Header(name=name, value=value) for name, value in headers.fields],
        preview=html.unescape(cuts.start(text(raw, "snippet"), SHORT_CHARACTERS, "are_headers_cut")),
        importance=importance(headers),
        is_read=LABEL_UNREAD not in labels,
        is_draft=LABEL_DRAFT in labels,
        label_ids=labels,
        attachments=tree.attachments(parts, cuts),
        size_bytes=number(raw, "sizeEstimate"),
        automation=automation(headers, tree.media_types()),
        body=make_body(parts, cuts),
    )
    _set_people(message, headers, cuts)
    _set_threading(message, raw, headers)
    bound(message, cuts)
    struct, left_out = bounded_struct(raw, raw_budget(message))
    cuts.is_raw_cut, cuts.left_out_bytes = left_out > 0, cuts.left_out_bytes + left_out
    return MappedMessage(
        message=message,
        version=text(raw, "historyId"),
        folder_id="",
        label_ids=tuple(labels),
        is_draft=message.is_draft,
        received_at=received,
        truncation=cuts.truncation(message.ByteSize() + struct.ByteSize()),
        raw=struct,
        send_mark=_send_mark(headers, labels),
    )


def _send_mark(headers: Headers, labels: list[str]) -> str:
    """The id of the send whose mail this is. Recipients have the header as well: only the copy of its sender counts."""
    mark = headers.first(GMAIL_SEND).strip()
    return mark.lower() if is_id(mark) and {LABEL_SENT, LABEL_DRAFT} & set(labels) else ""


def put_in_bodies(raw: dict[str, Any], bodies: Mapping[str, str]) -> None:
    """Puts fetched bodies where Gmail held them back.

    Args:
        raw: The object, which is changed.
        bodies: The `data` of the attachments by their id; a body that is missing or empty counts as cut.
    """
    for attachment_id, body in list(detached_bodies(raw)):
        if data := bodies.get(attachment_id):
            body["data"] = data


def detached_bodies(raw: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Finds the bodies that Gmail holds back because they are large.

    Yields:
        The attachment id to fetch, and the part's `body`, which gets the fetched `data`.
    """
    yield from MimeTree(members(raw, "payload")).detached()


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


def _set_threading(message: message_pb2.MailMessage, raw: dict[str, Any], headers: Headers) -> None:
    message.internet_message_id = next(iter(headers.message_ids("Message-ID")), "")
    message.in_reply_to = headers.answered_id()
    message.references.extend(headers.message_ids("References"))
    message.thread.provider_thread_id = text(raw, "threadId")
