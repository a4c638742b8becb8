"""Writing messages: from Graph's JSON or from MIME to a draft, and from there to its recipients."""

import base64
import binascii
from email.utils import formataddr
from typing import Any

from simulator.accounts import Account
from simulator.eml import Eml, MailSource, compose
from simulator.generate import mix
from simulator.http import JSON, ApiError, Call, known_fields
from simulator.mailboxes.graph import GraphMailbox
from simulator.mailboxes.graph_mail import GraphMail
from simulator.microsoft.errors import graph_error, graph_reply
from simulator.postoffice import PostOffice, parse_head, recipients, sender_of, with_header
from simulator.rate import Rate
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
        self._rate = Rate(world.clock, 60.0)
        self._made = 0

    def source(self, mailbox: GraphMailbox, fields: dict[str, Any], message_id: str = "") -> Eml:
        """Return the mail that some fields describe, from the mailbox's own address unless they name another."""
        made = message_id or self._new_id(mailbox)
        return Eml(compose({"from": mailbox.address, **fields}, default_date=self._date(), default_message_id=made))

    def from_mime(self, call: Call) -> Eml:
        """Return the mail in a body of MIME; its From is ignored, and what it lacks is added.

        Raises:
            ApiError: 400, the body is not standard base64.
        """
        mailbox = mail_box(call)
        raw = with_header(read_mime(call).raw(), "From", mailbox.address)
        head = parse_head(raw)
        for name, value in (("Message-ID", self._new_id(mailbox)), ("Date", self._date())):
            raw = raw if name in head else with_header(raw, name, value)
        return Eml(raw)

    def rewrite(self, mailbox: GraphMailbox, mail: GraphMail, fields: dict[str, Any]) -> None:
        """Give a draft new content under its Message-ID, unless the fields name another."""
        mailbox.redraft(mail, self.source(mailbox, fields, mail.source.message_id), fields)

    def send(self, call: Call, mail: GraphMail) -> None:
        """Send a draft: transport takes it from Drafts, now or after a while.

        Raises:
            ApiError: The mail is no draft, may not be sent so, or the mailbox has sent too much.
        """
        account = account_of(call)
        if not mail.is_draft:
            raise graph_error(400, "ErrorInvalidRequest", "Only a draft can be sent.")
        if mail.is_leaving:
            raise graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        self._check(account, mail.source)
        mail.is_leaving = True
        self._world.later.after(self._world.knobs.graph_sent_copy_seconds, lambda: self._leave(account, mail))

    def send_now(self, call: Call, source: Eml, *, keeps_copy: bool, flags: JSON) -> None:
        """Send a mail without a draft before it; while it waits for transport it is in Drafts all the same."""
        account, mailbox = account_of(call), mail_box(call)
        self._check(account, source)
        if self._world.knobs.graph_sent_copy_seconds:
            mail = mailbox.draft(source, None)
            mailbox.mark(mail, {"isRead": True, **flags})
            mail.is_leaving = True
            seconds = self._world.knobs.graph_sent_copy_seconds
            self._world.later.after(seconds, lambda: self._leave(account, mail, keeps_copy=keeps_copy))
            return
        sent = self._stamped(account, source)
        if keeps_copy:
            copy = mailbox.deliver(sent, folder="sentitems", is_read=True)
            mailbox.mark(copy, flags)
        self._post_office.send(sent, account)

    def _leave(self, account: Account, mail: GraphMail, *, keeps_copy: bool = True) -> None:
        """Take a mail from Drafts to Sent Items and to its recipients."""
        mailbox = account.mailbox
        sent = self._stamped(account, mail.source)
        if isinstance(mailbox, GraphMailbox) and mail.serial in mailbox.mails:
            mail.is_leaving, mail.source = False, sent
            if not keeps_copy:
                mailbox.delete(mail)
            elif self._world.knobs.graph_sent_ids == "changed":
                mailbox.delete(mail)
                mailbox.deliver(sent, folder="sentitems", is_read=True, like=mail)
            else:
                mailbox.send(mail)
        self._post_office.send(sent, account)

    def _stamped(self, account: Account, source: MailSource) -> Eml:
        """Return a mail as transport writes it."""
        raw, mailbox = source.raw(), account.mailbox
        if self._world.knobs.graph_message_ids == "rewritten" and isinstance(mailbox, GraphMailbox):
            raw = with_header(raw, "Message-ID", self._new_id(mailbox))
        if sender_of(raw) != account.address.lower():
            raw = with_header(raw, "Sender", account.address)
        return Eml(raw)

    def _check(self, account: Account, source: MailSource) -> None:
        raw = source.raw()
        if not recipients(raw):
            raise graph_error(400, "ErrorInvalidRecipients", "At least one recipient is required.")
        if len(raw) > self._world.knobs.graph_message_bytes_max:
            raise graph_error(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")
        other = self._world.accounts["ms365"].find(sender_of(raw))
        if other is not account and (other is None or account.address.lower() not in other.delegates):
            message = "The user account which was used to submit this request does not have the right to send mail on "
            raise graph_error(403, "ErrorSendAsDenied", f"{message}behalf of the specified sending account.")
        if not self._rate.take(account.id, self._world.knobs.graph_sends_per_minute):
            seconds = self._world.knobs.graph_retry_after_seconds
            message = "Application is over its SendRate limit."
            raise ApiError(graph_reply(429, "ApplicationThrottled", message, retry_after=seconds))

    def _new_id(self, mailbox: GraphMailbox) -> str:
        self._made += 1
        return f"<{mix(mailbox.position + self._made):016x}.{mailbox.token.hex()}@outlook.test>"

    def _date(self) -> str:
        return self._world.clock.now().strftime("%a, %d %b %Y %H:%M:%S +0000")


def account_of(call: Call) -> Account:
    """Return the account whose mailbox a call is about."""
    assert call.account is not None  # noqa: S101  every mailbox operation names its user
    return call.account


def mail_box(call: Call) -> GraphMailbox:
    """Return the mailbox of a call that is known to be Microsoft's."""
    mailbox = account_of(call).mailbox
    assert isinstance(mailbox, GraphMailbox)  # noqa: S101  all accounts of Microsoft have one
    return mailbox


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
