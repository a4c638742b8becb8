"""An answer or a forward, derived from its original: recipients, subject and references.

Every value of the original comes from strangers. The recipients are those of the original alone; the caller names them
for a forward.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Iterable

from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.meshkit.text import plain_name
from services.processor.mailbox.provider_http import JSON
from services.processor.outbox.content import NAME_CHARACTERS, RECIPIENTS_MAX, SUBJECT_CHARACTERS, address_of
from services.processor.outbox.mailbox import MailNotMadeError
from services.providers.names import MS365

ReadMail = Callable[[str, JSON], Awaitable[message_pb2.MailMessage]]
"""Reads a provider's object as a mail: the provider's name and the object."""
GONE = "the mail that is answered or forwarded is not in the mailbox"
DRAFT = "the mail that is answered or forwarded is a draft"
# A message id as it may stand in a header: printable, and never an encoded word (RFC 5322, section 3.6.4). The name of
# the field and the id are one line, which has 998 bytes at most (section 2.1.1).
_ID = re.compile(r"<[!-;=?-~]{1,898}>")
_REFERENCES_MAX = 50
_REFERENCES_CHARACTERS = 8000


async def text_of(read: ReadMail, html: str) -> str:
    """Return the text of HTML as a reader of the mail sees it; empty when it has none."""
    if not html:
        return ""
    return (await read(MS365, {"id": "own", "body": {"contentType": "html", "content": html}})).body.text


def addressed(
    content: pb2.SendRequest, original: message_pb2.MailMessage, own: Collection[str], marks: tuple[str, str]
) -> pb2.NewMail:
    """Return the recipients and the subject of an answer or a forward, without a body.

    Args:
        content: The request.
        original: The mail that is answered or forwarded.
        own: The account's addresses.
        marks: The beginnings of the subjects of answers and of forwards, such as "Re:" and "Fwd:".

    Raises:
        MailNotMadeError: The original is a draft, or names no address, or too many, that could be answered.
    """
    if original.is_draft:
        raise MailNotMadeError(DRAFT)
    if content.HasField("forward"):
        given = content.forward
        return pb2.NewMail(to=given.to, cc=given.cc, bcc=given.bcc, subject=_subject(original, marks[1]))
    to, cc = _recipients(original, {_key(one) for one in own}, is_to_all=content.reply.to_all)
    if not 0 < len(to) + len(cc) <= RECIPIENTS_MAX:
        raise MailNotMadeError(f"the mail that is answered names no address, or more than {RECIPIENTS_MAX}")
    return pb2.NewMail(to=to, cc=cc, subject=_subject(original, marks[0]))


def references(original: message_pb2.MailMessage) -> list[str]:
    """Return the message ids that an answer refers to, the original's last; without ids that no header may have."""
    before = list(original.references) or [original.in_reply_to]
    ids = [one for one in (*before, original.internet_message_id) if _ID.fullmatch(one) and "=?" not in one]
    if original.internet_message_id not in ids:
        return []
    ids = list(dict.fromkeys(reversed(ids)))[::-1]
    while len(ids) > _REFERENCES_MAX or (len(ids) > 1 and sum(map(len, ids)) > _REFERENCES_CHARACTERS):
        del ids[min(1, len(ids) - 2)]  # the first one names the thread, and the last ones its end
    return ids


def _recipients(
    original: message_pb2.MailMessage, own: Collection[str], *, is_to_all: bool
) -> tuple[list[pb2.Recipient], list[pb2.Recipient]]:
    """Return To and Cc: Reply-To before From; after a mail of the account's own, its recipients."""
    author = _usable([original.from_address])
    to = _others(_usable(original.reply_to), own) or _others(author, own)
    is_own = bool(author) and not to
    if is_own or is_to_all:
        to = _others([*to, *_usable(original.to)], own)
    if is_own and not to:
        to = author  # a mail from the account to itself
    if not is_to_all:
        return to, []
    return to, _others(_usable(original.cc), {*own, *(_key(one.address) for one in to)})


def _usable(people: Iterable[message_pb2.Address]) -> list[pb2.Recipient]:
    """Return the people whose address can be sent to; another one would make the provider refuse the mail."""
    found = []
    for one in people:
        try:
            address = address_of("address", one.address)
        except FieldInvalid:
            continue
        found.append(pb2.Recipient(address=address, name=plain_name(one.name, NAME_CHARACTERS)))
    return found


def _others(people: Iterable[pb2.Recipient], besides: Collection[str]) -> list[pb2.Recipient]:
    """Return people in order, each once, without some addresses and what is tagged with a plus at them."""
    found: dict[str, pb2.Recipient] = {}
    for one in people:
        key = _key(one.address)
        local, _, domain = key.rpartition("@")
        if key not in besides and f"{local.partition('+')[0]}@{domain}" not in besides:
            found.setdefault(key, one)
    return list(found.values())


def _subject(original: message_pb2.MailMessage, mark: str) -> str:
    subject = plain_name(original.subject, SUBJECT_CHARACTERS)
    is_marked = subject.lower().startswith(mark.lower())
    return (subject if is_marked else f"{mark} {subject}".strip())[:SUBJECT_CHARACTERS].strip()


def _key(address: str) -> str:
    """Return an address as it is compared: in lower case, with its domain in ASCII."""
    try:
        return address_of("address", address).lower()
    except FieldInvalid:
        return address.strip().lower()
