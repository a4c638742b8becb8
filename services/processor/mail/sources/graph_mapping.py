"""Graph's message to the contract's mail: pure, and never an exception whatever the object holds."""

import re
from collections.abc import Iterable
from typing import Any

from mailmesh.mail.v1 import message_pb2
from services.meshkit.ids import is_id
from services.message.addresses import make_address
from services.message.bodies import Part, lines_of, make_body
from services.message.bounds import (
    MAX_ATTACHMENTS,
    MAX_RECIPIENTS,
    SHORT_CHARACTERS,
    Cuts,
    bound,
    raw_budget,
)
from services.message.fields import clean, flag, iso_time, items, members, number, text, texts, timestamp
from services.message.flowed import unflow
from services.message.headers import Headers, automation
from services.message.ids import message_ids
from services.message.invitations import global_object_uid
from services.message.raw import bounded_struct
from services.processor.mail.sources.mapped import MappedMessage
from services.providers.marks import GMAIL_SEND, GRAPH_SEND

_IMPORTANCE = {
    "low": message_pb2.IMPORTANCE_LOW,
    "normal": message_pb2.IMPORTANCE_NORMAL,
    "high": message_pb2.IMPORTANCE_HIGH,
}
_KINDS = {
    "fileattachment": message_pb2.ATTACHMENT_KIND_FILE,
    "itemattachment": message_pb2.ATTACHMENT_KIND_ITEM,
    "referenceattachment": message_pb2.ATTACHMENT_KIND_REFERENCE,
}
_MESSAGE_SIZE = re.compile(r"(integer|long)\s+0x0*e08", re.IGNORECASE)
MEETING_ID = "Binary {6ED8DA90-450B-101B-98DA-00AA003F1305} Id 0x23"
"""PidLidCleanGlobalObjectId, the property by which meeting messages name their event (MS-OXOCAL 2.2.1.28)."""
_REQUEST, _REQUESTED = "eventmessagerequest", "meetingrequest"
_ETAG = re.compile(r'(?:W/)?"(.*)"', re.DOTALL)


def map_message(raw: dict[str, Any]) -> MappedMessage:
    """Maps a message as Graph gives it.

    Args:
        raw: The object, with `internetMessageHeaders` selected and the metadata of `attachments` expanded.

    Returns:
        The mail within its bounds. Fields that the object lacks, or has in another shape, are empty.
    """
    headers = Headers(items(raw, "internetMessageHeaders"))
    cuts = Cuts(are_headers_cut=headers.is_cut)
    message = message_pb2.MailMessage(
        subject=" ".join(cuts.start(text(raw, "subject"), SHORT_CHARACTERS, "are_headers_cut").split()),
        sent_at=timestamp(iso_time(text(raw, "sentDateTime"))),
        mail_received_at=timestamp(received := iso_time(text(raw, "receivedDateTime"))),
        headers=[message_pb2.Header(name=name, value=value) for name, value in headers.fields],
        preview=text(raw, "bodyPreview"),
        importance=_IMPORTANCE.get(text(raw, "importance").lower(), message_pb2.IMPORTANCE_UNSPECIFIED),
        is_read=flag(raw, "isRead"),
        is_draft=flag(raw, "isDraft"),
        folder_id=text(raw, "parentFolderId"),
        categories=texts(raw, "categories"),
        attachments=_attachments(raw, cuts),
        size_bytes=_size(raw),
        automation=automation(headers),
        web_link=link if len(link := text(raw, "webLink")) <= _MAX_LINK_CHARACTERS else "",
        body=make_body([_body(raw, headers)], cuts),
    )
    _set_people(message, raw, cuts)
    _set_threading(message, raw, headers)
    bound(message, cuts)
    struct, left_out = bounded_struct(raw, raw_budget(message))
    cuts.is_raw_cut, cuts.left_out_bytes = left_out > 0, cuts.left_out_bytes + left_out
    return MappedMessage(
        message=message,
        version=_version(raw),
        folder_id=message.folder_id,
        label_ids=(),
        is_draft=message.is_draft,
        received_at=received,
        truncation=cuts.truncation(message.ByteSize() + struct.ByteSize()),
        raw=struct,
        send_mark=_send_mark(raw, headers),
        invitation=_invitation(raw),
    )


_MAX_LINK_CHARACTERS = 4096


def _version(raw: dict[str, Any]) -> str:
    """`changeKey`, or the same taken out of the etag."""
    etag = _ETAG.fullmatch(text(raw, "@odata.etag"))
    return text(raw, "changeKey") or (etag[1] if etag else "")


def _set_people(message: message_pb2.MailMessage, raw: dict[str, Any], cuts: Cuts) -> None:
    author, sender = _address(members(raw, "from")), _address(members(raw, "sender"))
    if author is not None:
        message.from_address.CopyFrom(author)
    if sender is not None and (author is None or sender.address.casefold() != author.address.casefold()):
        message.sender.CopyFrom(sender)
    left = MAX_RECIPIENTS
    for name, recipients in (
        ("replyTo", message.reply_to), ("toRecipients", message.to), ("ccRecipients", message.cc),
        ("bccRecipients", message.bcc),
    ):  # fmt: skip
        given = items(raw, name)
        cuts.are_recipients_cut = cuts.are_recipients_cut or len(given) > left
        recipients.extend(_addresses(given[:left]))
        left = max(0, left - len(given))


def _set_threading(message: message_pb2.MailMessage, raw: dict[str, Any], headers: Headers) -> None:
    own = [*message_ids(text(raw, "internetMessageId")), *headers.message_ids("Message-ID")]
    message.internet_message_id = own[0] if own else ""
    message.in_reply_to = headers.answered_id()
    message.references.extend(headers.message_ids("References"))
    message.thread.provider_thread_id = text(raw, "conversationId")


def _addresses(recipients: list[Any]) -> Iterable[message_pb2.Address]:
    for recipient in recipients:
        address = _address(recipient)
        if address is not None:
            yield address


def _address(recipient: Any) -> message_pb2.Address | None:
    mailbox = members(recipient, "emailAddress")
    return make_address(text(mailbox, "address"), text(mailbox, "name"))


def _body(raw: dict[str, Any], headers: Headers) -> Part:
    body = members(raw, "body")
    content = text(body, "content")
    if text(body, "contentType").lower() == "html":
        return Part(html=content or None)
    sent_as = headers.value("Content-Type")
    if sent_as.main == "text/plain" and sent_as.word("format") == "flowed":
        content = unflow(lines_of(content), delete_space=sent_as.word("delsp") == "yes")
    return Part(text=content or None)


def _attachments(raw: dict[str, Any], cuts: Cuts) -> Iterable[message_pb2.Attachment]:
    given = items(raw, "attachments")
    cuts.are_attachments_cut = len(given) > MAX_ATTACHMENTS
    for attachment in given[:MAX_ATTACHMENTS]:
        name, kind = text(attachment, "name"), text(attachment, "@odata.type").rpartition(".")[2].lower()
        media = text(attachment, "contentType").partition(";")[0].strip().lower()
        yield message_pb2.Attachment(
            attachment_id=text(attachment, "id"),
            name=clean(name[:1024]),
            content_type=media[:255] or "application/octet-stream",
            size_bytes=number(attachment, "size"),
            is_inline=flag(attachment, "isInline"),
            content_id=text(attachment, "contentId").strip().strip("<>")[:998],
            kind=_KINDS.get(kind, message_pb2.ATTACHMENT_KIND_UNSPECIFIED),
        )


def _send_mark(raw: dict[str, Any], headers: Headers) -> str:
    """The id of the send whose mail this is, as its mark says; a draft that is not complete has the header alone."""
    for extended in items(raw, "singleValueExtendedProperties"):
        mark = text(extended, "value").partition(":")[0]
        if text(extended, "id").casefold() == GRAPH_SEND.casefold() and is_id(mark):
            return mark.lower()
    mark = headers.first(GMAIL_SEND).strip()
    return mark.lower() if flag(raw, "isDraft") and is_id(mark) else ""


def _invitation(raw: dict[str, Any]) -> str:
    """The UID of the event that a meeting request is about (learn.microsoft.com, eventMessageRequest)."""
    kind = text(raw, "@odata.type").rpartition(".")[2].lower()
    if kind != _REQUEST and text(raw, "meetingMessageType").lower() != _REQUESTED:
        return ""
    properties = {text(one, "id").casefold(): text(one, "value") for one in items(raw, "singleValueExtendedProperties")}
    return global_object_uid(properties.get(MEETING_ID.casefold(), ""))


def _size(raw: dict[str, Any]) -> int:
    """PidTagMessageSize, where it was expanded."""
    for extended in items(raw, "singleValueExtendedProperties"):
        if _MESSAGE_SIZE.fullmatch(text(extended, "id").strip()):
            return number(extended, "value")
    return 0
