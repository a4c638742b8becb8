"""The terms of a mail: what the index knows of it, and what a query asks for.

A term is a kind and a text. The index keeps a digest of each, made with a key of the tenant alone. Equal words of two
tenants therefore have different digests, and the digests of a deleted index say nothing once the key is gone.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from itertools import chain

from mailmesh.mail.v1 import message_pb2
from services.processor.search.words import fold, is_unspaced, words

KEY_BYTES = 32
MAX_TEXT_CHARACTERS = 200_000
MAX_TERMS = 10_000
BEGINNINGS = (3, 5)
"""The lengths of beginnings that are indexed. A longer one is found by these, and judged by the event."""
_MAX_NAMES = 500
_MAX_NAME_CHARACTERS = 1000
_MAX_SUBJECT_CHARACTERS = 2000
_MAX_DOMAINS = 6
_DIGEST = struct.Struct(">i")

WORD, BEGINNING, FROM, TO, FOLDER, LABEL, ATTACHMENT = "wpftdla"


class Digests:
    """Makes digests of terms.

    Args:
        key: The tenant's key of `KEY_BYTES`.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, terms: Iterable[str]) -> list[int]:
        """Return the digests of terms, sorted, each once."""
        return sorted({self._one(term) for term in terms})

    def _one(self, term: str) -> int:
        raw = hashlib.blake2b(term.encode("utf-8", "replace"), digest_size=_DIGEST.size, key=self._key).digest()
        return int(_DIGEST.unpack(raw)[0])


def texts(message: message_pb2.MailMessage) -> Iterator[str]:
    """Yield the texts of a mail in which words are found, within their bounds; a phrase lies in one of them."""
    yield message.subject[:_MAX_SUBJECT_CHARACTERS]
    for person in _people(message):
        yield person.name[:_MAX_NAME_CHARACTERS]
        yield person.address[:_MAX_NAME_CHARACTERS]
    for attachment in message.attachments[:_MAX_NAMES]:
        yield attachment.name[:_MAX_NAME_CHARACTERS]
    yield message.body.text[:MAX_TEXT_CHARACTERS]


def terms_of(message: message_pb2.MailMessage) -> set[str]:
    """Return the terms of a mail, at most `MAX_TERMS` and those of its fields."""
    found: set[str] = set()
    for word in chain.from_iterable(map(words, texts(message))):
        found.add(WORD + word)
        found.update(_beginnings(word))
        if len(found) >= MAX_TERMS:
            break
    return found | fields_of(message)


def fields_of(message: message_pb2.MailMessage) -> set[str]:
    """Return the terms of a mail's senders, recipients, folder, labels and attachments."""
    has = "1" if has_attachment(message) else "0"
    found = {ATTACHMENT + has, *(LABEL + label for label in message.label_ids[:_MAX_NAMES])}
    if message.folder_id:
        found.add(FOLDER + message.folder_id)
    for one in (message.from_address, message.sender):
        found.update(FROM + name for name in _names(one.address))
    for one in chain(message.to[:_MAX_NAMES], message.cc[:_MAX_NAMES], message.bcc[:_MAX_NAMES]):
        found.update(TO + name for name in _names(one.address))
    return found


def has_attachment(message: message_pb2.MailMessage) -> bool:
    """Tell whether a mail has an attachment that is not shown within its text."""
    return any(not one.is_inline for one in message.attachments)


def beginning(word: str) -> str:
    """Return the term of the longest indexed beginning of a word, which has at least `BEGINNINGS[0]` characters."""
    length = 1 if is_unspaced(word) else max(one for one in BEGINNINGS if one <= len(word))
    return BEGINNING + word[:length]


def plain(address: str) -> str:
    """Return an address or a domain in the form in which it is compared: folded, its domain in ASCII."""
    folded = fold(address.strip())[:_MAX_NAME_CHARACTERS]
    local, at, domain = folded.rpartition("@")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode()
        except UnicodeError:
            return folded
    return f"{local}{at}{domain.strip('.')}"


def _beginnings(word: str) -> Iterator[str]:
    if is_unspaced(word):
        yield BEGINNING + word[0]
        return
    for length in BEGINNINGS:
        if len(word) >= length:
            yield BEGINNING + word[:length]


def _names(address: str) -> Iterator[str]:
    """Yield an address, its domain, and the domains above it but the last."""
    whole = plain(address)
    if whole:
        yield whole
    domain = whole.rpartition("@")[2]
    for _ in range(_MAX_DOMAINS):
        if "." not in domain:
            return
        yield domain
        domain = domain.partition(".")[2]


def _people(message: message_pb2.MailMessage) -> Iterator[message_pb2.Address]:
    yield message.from_address
    yield message.sender
    for people in (message.to, message.cc, message.bcc, message.reply_to):
        yield from people[:_MAX_NAMES]
