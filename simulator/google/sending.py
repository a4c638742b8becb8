"""Sending from a Google account."""

import base64
import binascii
import re
from email.utils import formataddr

from simulator.eml import Eml
from simulator.google.errors import api_error
from simulator.google.gmail import find_mail, mailbox_of
from simulator.google.render import View
from simulator.http import JSON, Call, Reply
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.gmail_mail import GmailMail
from simulator.postoffice import PostOffice, parse_head, recipients, sender_of, with_header
from simulator.rate import Rate
from simulator.state import World

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
        ApiError: 404, there is no such thread; 400, it is no id at all.
    """
    if not thread_id:
        return None
    if not re.fullmatch("[0-9a-f]{1,16}", thread_id):
        raise api_error(400, "invalidArgument", "Invalid thread_id value")
    return find_mail(mailbox, thread_id).thread


class Sender:
    """Sends mail and keeps a copy with the label SENT."""

    def __init__(self, world: World, post_office: PostOffice) -> None:
        self._world = world
        self._post_office = post_office
        self._rate = Rate(world.clock, 86_400.0)

    def send(self, call: Call, raw: bytes, thread_id: str, draft: GmailMail | None = None) -> Reply:
        """Send a mail, in place of a draft if there is one; the answer is the sender's copy.

        Raises:
            ApiError: 400, it has no recipient, is too long or comes from another's address; 404, there is no such
                thread; 429, the mailbox has sent too much.
        """
        mailbox = mailbox_of(call)
        thread = check_thread(mailbox, thread_id)
        if len(raw) > MAX_BYTES:
            raise api_error(400, "invalidArgument", "The message exceeds the size limit.")
        names = {address.lower() for address in recipients(raw)}
        if not names:
            raise api_error(400, "invalidArgument", "Recipient address required")
        source = Eml(_dated(self._stamped(call, self._from_own(call, raw)), call))
        if not self._rate.take(mailbox.address, self._world.knobs.gmail_sends_per_day):
            raise api_error(429, "rateLimitExceeded", "User-rate limit exceeded.  (Mail sending)")
        mail = self._keep(mailbox, source, thread, draft, to_self=mailbox.address.lower() in names)
        if call.account:
            self._post_office.send(source, call.account, has_copy=True)
        shown = View(mailbox).message(mail, "minimal")
        return Reply(200, {name: shown[name] for name in ("id", "threadId", "labelIds")})

    def _keep(
        self, mailbox: GmailMailbox, source: Eml, thread: int | None, draft: GmailMail | None, *, to_self: bool
    ) -> GmailMail:
        """Keep the sender's copy; which id it has after a draft is a setting."""
        if draft and self._world.knobs.gmail_sent_draft_ids == "kept":
            mailbox.send_in_place(draft, source)
            if to_self:
                mailbox.relabel(draft, ("INBOX", "UNREAD"))
            return draft
        labels = ("SENT", "INBOX") if to_self else ("SENT",)
        mail = mailbox.deliver(source, labels=labels, is_read=not to_self, thread=thread)
        if draft:
            mailbox.delete(draft)
        return mail

    def _from_own(self, call: Call, raw: bytes) -> bytes:
        """Return a mail from an address that the account may use; Gmail replaces another one silently."""
        mailbox, given = mailbox_of(call), sender_of(raw)
        if given and mailbox.sends_from(given):
            return raw
        if given and self._world.knobs.gmail_foreign_from == "refused":
            raise api_error(400, "invalidArgument", "Invalid From header")
        name = call.account.name if call.account else ""
        own = mailbox.sends_from() if not given else mailbox.address
        return with_header(raw, "From", formataddr((name, own)))

    def _stamped(self, call: Call, raw: bytes) -> bytes:
        """Return a mail under Gmail's own Message-ID, where that is the setting; the old one is kept beside it."""
        given = str(parse_head(raw).get("Message-ID", "")).strip()
        if not given or self._world.knobs.gmail_message_ids == "kept":
            return raw
        raw = with_header(raw, "X-Google-Original-Message-ID", given)
        return with_header(raw, "Message-ID", _new_id(mailbox_of(call)))


def _dated(raw: bytes, call: Call) -> bytes:
    """Return a mail with the headers that Gmail adds where they are missing."""
    head = parse_head(raw)
    mailbox = mailbox_of(call)
    added = b""
    if "Message-ID" not in head:
        added += f"Message-ID: {_new_id(mailbox)}\r\n".encode()
    if "Date" not in head:
        added += f"Date: {mailbox.clock.now().strftime('%a, %d %b %Y %H:%M:%S +0000')}\r\n".encode()
    return added + raw


def _new_id(mailbox: GmailMailbox) -> str:
    return f"<CA{mailbox.random.getrandbits(128):032x}@mail.gmail.com>"
