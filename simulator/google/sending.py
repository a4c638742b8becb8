"""Sending from a Google account."""

import base64
import binascii
import email.policy
from email.parser import BytesHeaderParser

from simulator.eml import Eml
from simulator.google.errors import api_error
from simulator.google.gmail import find_mail, mailbox_of
from simulator.google.render import View
from simulator.http import JSON, Call, Reply
from simulator.mailboxes.gmail import GmailMailbox
from simulator.postoffice import PostOffice, recipients

MAX_BYTES = 36_700_160


def raw_of(body: JSON) -> bytes:
    """Return the mail in a message's ``raw``.

    Raises:
        ApiError: 400, it is missing or no base64url.
    """
    raw = body.get("raw")
    if not isinstance(raw, str) or not raw:
        raise api_error(
            400,
            "invalidArgument",
            "'raw' RFC822 payload message string or uploading message via /upload/* URL required",
        )
    try:
        return base64.b64decode(raw.replace("-", "+").replace("_", "/") + "=" * (-len(raw) % 4), validate=True)
    except binascii.Error as error:
        raise api_error(400, "invalidArgument", "Invalid value for ByteString") from error


def check_thread(mailbox: GmailMailbox, thread_id: str) -> int | None:
    """Return the serial of a thread that a message names, None where it names none.

    Raises:
        ApiError: 404, there is no such thread.
    """
    if not thread_id:
        return None
    return find_mail(mailbox, thread_id).thread


class Sender:
    """Sends mail and keeps a copy with the label SENT."""

    def __init__(self, post_office: PostOffice) -> None:
        self._post_office = post_office

    def send(self, call: Call, raw: bytes, thread_id: str) -> Reply:
        """Send a mail; the answer is the sender's copy.

        Raises:
            ApiError: 400, it has no recipient or is too long; 404, there is no such thread.
        """
        mailbox = mailbox_of(call)
        thread = check_thread(mailbox, thread_id)
        if len(raw) > MAX_BYTES:
            raise api_error(400, "invalidArgument", "The message exceeds the size limit.")
        names = {address.lower() for address in recipients(raw)}
        if not names:
            raise api_error(400, "invalidArgument", "Recipient address required")
        source, to_self = Eml(_dated(raw, call)), mailbox.address.lower() in names
        labels = ("SENT", "INBOX") if to_self else ("SENT",)
        mail = mailbox.deliver(source, labels=labels, is_read=not to_self, thread=thread)
        self._post_office.send(source, besides=call.account)
        shown = View(mailbox).message(mail, "minimal")
        return Reply(200, {name: shown[name] for name in ("id", "threadId", "labelIds")})


def _dated(raw: bytes, call: Call) -> bytes:
    """Return a mail with the headers that Gmail adds where they are missing."""
    head = BytesHeaderParser(policy=email.policy.compat32).parsebytes(raw)
    mailbox = mailbox_of(call)
    added = b""
    if "Message-ID" not in head:
        added += f"Message-ID: <CA{mailbox.random.getrandbits(128):032x}@mail.gmail.com>\r\n".encode()
    if "Date" not in head:
        added += f"Date: {mailbox.clock.now().strftime('%a, %d %b %Y %H:%M:%S +0000')}\r\n".encode()
    if "From" not in head:
        added += f"From: {mailbox.address}\r\n".encode()
    return added + raw
