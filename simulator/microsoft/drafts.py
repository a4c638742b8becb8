"""Writing messages: from Graph's JSON or from MIME to a draft, and from there to its recipients."""

import base64
import binascii
from email.utils import formataddr
from typing import Any

from simulator.eml import Eml, compose
from simulator.generate import mix
from simulator.http import JSON, Call, known_fields
from simulator.mailboxes.graph import GraphMailbox
from simulator.mailboxes.graph_mail import GraphMail
from simulator.microsoft.errors import graph_error
from simulator.postoffice import PostOffice
from simulator.state import World

_PEOPLE = {"toRecipients": "to", "ccRecipients": "cc", "bccRecipients": "bcc", "replyTo": "replyTo"}
WRITTEN = frozenset({"subject", "body", "internetMessageHeaders", "internetMessageId", "from", "sender", *_PEOPLE})
FLAGS = frozenset({"isRead", "categories", "importance", "flag", "inferenceClassification"})
READ_ONLY = frozenset(
    (
        *("id", "changeKey", "createdDateTime", "lastModifiedDateTime", "receivedDateTime", "sentDateTime"),
        *("hasAttachments", "bodyPreview", "uniqueBody", "parentFolderId", "conversationId", "conversationIndex"),
        *("isDraft", "webLink"),
    )
)
_IMPORTANCE = frozenset({"low", "normal", "high"})
_FLAG = frozenset({"notFlagged", "flagged", "complete"})
_HEADERS_MAX = 5


class Drafts:
    """Writes and sends messages of Microsoft mailboxes."""

    def __init__(self, world: World, post_office: PostOffice) -> None:
        self._world = world
        self._post_office = post_office

    def source(self, mailbox: GraphMailbox, fields: dict[str, Any], message_id: str = "") -> Eml:
        """Return the mail that some fields describe, from the mailbox's own address unless they name another."""
        now = self._world.clock.now()
        made = message_id or f"<{mix(mailbox.position + 1):016x}.{mailbox.token.hex()}@outlook.test>"
        date = now.strftime("%a, %d %b %Y %H:%M:%S +0000")
        return Eml(compose({"from": mailbox.address, **fields}, default_date=date, default_message_id=made))

    def rewrite(self, mailbox: GraphMailbox, mail: GraphMail, fields: dict[str, Any]) -> None:
        """Give a draft new content under its Message-ID."""
        mailbox.redraft(mail, self.source(mailbox, fields, mail.source.message_id), fields)

    def send(self, call: Call, mail: GraphMail) -> None:
        """Send a draft: its copy moves to Sent Items, and the recipients get theirs."""
        mailbox = mail_box(call)
        if not mail.is_draft:
            raise graph_error(400, "ErrorInvalidRequest", "Only a draft can be sent.")
        mailbox.send(mail)
        self._post_office.send(mail.source)

    def send_now(self, call: Call, source: Eml, *, keeps_copy: bool, flags: JSON) -> None:
        """Send a mail without a draft before it."""
        mailbox = mail_box(call)
        if keeps_copy:
            copy = mailbox.deliver(source, folder="sentitems", is_read=True)
            if flags:
                mailbox.update(copy, flags)
        self._post_office.send(source)


def mail_box(call: Call) -> GraphMailbox:
    """Return the mailbox of a call that is known to be Microsoft's."""
    assert call.account is not None  # noqa: S101  every mailbox operation names its user
    assert isinstance(call.account.mailbox, GraphMailbox)  # noqa: S101  the same
    return call.account.mailbox


def is_mime(call: Call) -> bool:
    """Return whether the body is a mail in MIME."""
    return call.headers.get("content-type", "").lower().startswith("text/plain")


def read_mime(call: Call) -> Eml:
    """Return the mail in a body of base64.

    Raises:
        ApiError: 400, the body is not standard base64.
    """
    try:
        return Eml(base64.b64decode(call.body.strip(), validate=True))
    except binascii.Error as error:
        message = "Invalid base64 string for MIME content."
        raise graph_error(400, "ErrorMimeContentInvalidBase64String", message) from error


def fields_of(message: JSON) -> dict[str, Any]:
    """Return a message's writable properties as the fields that :func:`simulator.eml.compose` takes.

    Raises:
        ApiError: 400, a property has another type than Graph's.
    """
    fields: dict[str, Any] = {}
    for key, name in (("subject", "subject"), ("internetMessageId", "messageId")):
        if message.get(key) is not None:
            fields[name] = checked(message, key, str)
    for key, name in _PEOPLE.items():
        if message.get(key) is not None:
            fields[name] = [_mailbox(recipient) for recipient in checked(message, key, list)]
    if message.get("from"):
        fields["from"] = _mailbox(message["from"])
    if message.get("body") is not None:
        body = known_fields(checked(message, "body", dict), ("contentType", "content"), where="body of a message")
        is_html = str(body.get("contentType", "text")).lower() == "html"
        fields |= {"html": None, "text": None, "html" if is_html else "text": str(body.get("content") or "")}
    if "internetMessageHeaders" in message:
        fields["headers"] = _headers(checked(message, "internetMessageHeaders", list))
    return fields


def flags_of(message: JSON) -> JSON:
    """Return a message's flags as :meth:`GraphMailbox.update` takes them.

    Raises:
        ApiError: 400, a property has another type than Graph's.
    """
    flags: JSON = {}
    if "isRead" in message:
        flags["isRead"] = checked(message, "isRead", bool)
    if "categories" in message:
        flags["categories"] = [_text(one, "categories") for one in checked(message, "categories", list)]
    if "importance" in message:
        flags["importance"] = _one_of(_IMPORTANCE, checked(message, "importance", str).lower(), "importance")
    if "inferenceClassification" in message:
        name = "inferenceClassification"
        flags[name] = _one_of(frozenset({"focused", "other"}), checked(message, name, str), name)
    if "flag" in message:
        known = ("flagStatus", "completedDateTime", "dueDateTime", "startDateTime")
        flag = known_fields(checked(message, "flag", dict), known, where="flag")
        status = _one_of(_FLAG, flag.get("flagStatus", "notFlagged"), "flagStatus")
        flags |= {"isFlagged": status == "flagged", "isFlagComplete": status == "complete"}
    return flags


def checked(message: JSON, name: str, kind: type) -> Any:
    """Return a property of a type.

    Raises:
        ApiError: 400, it has another type.
    """
    value = message[name]
    if not isinstance(value, kind):
        raise _wrong(name)
    return value


def _wrong(name: str) -> Exception:
    message = f"Cannot convert the value of the property '{name}' to its type."
    return graph_error(400, "RequestBodyRead", message)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise _wrong(name)
    return value


def _one_of(known: frozenset[str], value: Any, name: str) -> str:
    if value not in known:
        raise _wrong(name)
    return str(value)


def _mailbox(recipient: Any) -> str:
    address = recipient.get("emailAddress") if isinstance(recipient, dict) else None
    if not isinstance(address, dict) or not isinstance(address.get("address"), str):
        raise graph_error(400, "ErrorInvalidRecipients", "At least one recipient is not valid.")
    known_fields(address, ("name", "address"), where="emailAddress")
    return formataddr((str(address.get("name") or ""), address["address"]))


def _headers(given: list[Any]) -> dict[str, str]:
    """Return custom headers; Graph takes one to five, and their names begin with x-."""
    names = [str(header.get("name", "")) for header in given if isinstance(header, dict)]
    if len(names) != len(given) or not 0 < len(given) <= _HEADERS_MAX:
        raise graph_error(400, "InvalidInternetMessageHeaderCollection", "There must be one to five custom headers.")
    if wrong := next((name for name in names if not name.lower().startswith("x-")), ""):
        message = f"The internet message header name '{wrong}' should start with 'x-' or 'X-'."
        raise graph_error(400, "InvalidInternetMessageHeader", message)
    return {str(header["name"]): str(header.get("value", "")) for header in given}
