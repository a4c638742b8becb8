"""Address lists of mail headers (RFC 5322 3.4 and 4.4, and forms that other programs read).

The parser of the standard library takes time that grows with the square of the list and recurses on nested comments:
ten thousand recipients or a thousand parentheses bring it down. This one reads a list once, from left to right.

An address that the list does not give for certain becomes a name: another address would get the answers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mailmesh.mail.v1 import message_pb2
from services.message.bounds import MAX_RECIPIENTS
from services.message.fields import clean
from services.message.syntax import comment_end, unescape, without_comments
from services.message.words import decode_words

MAX_LIST_CHARACTERS = 256 * 1024
"""The length that is read of the recipients of a mail, over all their headers; the rest is left out."""
_MAX_NAME_CHARACTERS = 512
_MAX_ADDRESS_CHARACTERS = 512
_MAX_LOOSE_CHARACTERS = 2048
"""The length of a text that is searched for addresses where nothing marks them."""

_SPECIAL = re.compile(r'"(?:[^"\\]|\\.)*+"|\\.|\[[^\]]{0,255}+\]|[(),;:<]', re.DOTALL)
# The text within angle brackets: a quoted string with a bracket is one only where a local part goes on behind it.
_WITHIN = re.compile(r'"(?:[^"\\<]|\\.)*+"|"(?:[^"\\]|\\.)*+"(?=\s*+[@.(])|\\.|\(|>{1,8}+', re.DOTALL)
# A pair is matched beside the quotes, so that a quote that is not closed costs one search of the rest and not many.
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"|\\.', re.DOTALL)
_SEPARATORS = re.compile(r"[\s,]*+")
# No mailbox has control characters, nor the sign of a character that was lost.
_LOCAL = r'(?:"(?:[^"\\]|\\.)*+"|[^\s@<>",;:()\[\]\\\x00-\x1f\x7f\ufffd]++)'
_DOMAIN_WORD = r'[^\s@<>",;:()\[\]\\.\x00-\x1f\x7f\ufffd]++'
_DOMAIN = rf"(?:\[[^\[\]\\\s]{{0,255}}+\]|{_DOMAIN_WORD}(?:\.{_DOMAIN_WORD})*+\.?+)"
_ADDRESS = re.compile(rf"{_LOCAL}@{_DOMAIN}", re.DOTALL)
# Blanks around a dot or the sign are allowed (RFC 5322 4.4: obs-local-part, obs-domain), but for those in quotes.
_BLANKS = re.compile(r'("(?:[^"\\]|\\.)*+"|\\.)|(?<!\s)\s*+([@.](?:\s*+[@.])*+)\s*+', re.DOTALL)
_WORD = re.compile(r'(?:"(?:[^"\\]|\\.)*+"|\\.|[^\s"]|")++', re.DOTALL)
_MAILTO = "mailto:"
# The forms that nearly all mail has. Possessive quantifiers keep the search linear: each form ends at its first doubt.
_PLAIN_ADDRESS = r"([\w.+-]++@[\w-]++(?:\.[\w-]++)*+)"
_PLAIN = re.compile(
    rf"(?:((?:[\w.'-]++\ )++|\"[\w\ .,'&/-]++\"\ )?<{_PLAIN_ADDRESS}>|{_PLAIN_ADDRESS})(?:,\ ?(?=.)|\Z)", re.ASCII
)
_MAX_PLAIN_CHARACTERS = 256


@dataclass
class _Element:
    """The text between two separators."""

    words: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    angle: str | None = None
    words_before: int = 0
    is_no_group: bool = False

    def can_name_a_group(self) -> bool:
        """Tells whether a colon behind it begins a group. More words never change a no, so that it is asked once."""
        if self.is_no_group:
            return False
        words = "".join(self.words)
        self.is_no_group = self.angle is not None or "@" in words or words.strip().lower() == "mailto"
        return not self.is_no_group


def parse_addresses(value: str, max_addresses: int = MAX_RECIPIENTS) -> list[message_pb2.Address]:
    """Reads an address list: groups, comments, quoted names, encoded words, missing brackets, missing names.

    Args:
        value: The unfolded value of a header; text behind `MAX_LIST_CHARACTERS` is not read.
        max_addresses: The reading stops behind so many.

    Returns:
        The addresses in order, at most `max_addresses`. Text that is not an address for certain is given as a name
        without an address. A comment alone names no mailbox.
    """
    plain = _plain(value) if len(value) <= _MAX_PLAIN_CHARACTERS else None
    return _parsed(value, max_addresses) if plain is None else plain[:max_addresses]


def _plain(value: str) -> list[message_pb2.Address] | None:
    """Reads addresses in their usual forms; None when one has another, which only the whole grammar reads."""
    found: list[message_pb2.Address] = []
    position = 0
    while position < len(value):
        match = _PLAIN.match(value, position)
        if match is None:
            return None
        name, named, bare = match.groups()
        found.append(message_pb2.Address(address=named or bare, name=" ".join((name or "").strip('" ').split())))
        position = match.end()
    return found


def _parsed(value: str, max_addresses: int) -> list[message_pb2.Address]:
    found: list[message_pb2.Address] = []
    for element, group in _List(value[:MAX_LIST_CHARACTERS]).elements():
        found += filter(None, _addresses(element, group))
        if len(found) >= max_addresses:
            break
    return found[:max_addresses]


def make_address(address: str, name: str, group: str = "") -> message_pb2.Address | None:
    """Makes an address of its parts: white space set right, a name that only repeats the address left out.

    Args:
        address: The text that should be `local@domain`. Anything else (an Exchange path, a phrase) becomes the name.
        name: The display name, decoded.
        group: The name of the group around it, decoded.

    Returns:
        The address, or None when nothing is left.
    """
    address, name = address.strip(), " ".join(name.split())
    if not _is_address(address):
        address, name = "", name or " ".join(address.split())
    if address and name.strip("'\"").casefold() == address.casefold():
        name = ""
    if not address and not name:
        return None
    return message_pb2.Address(
        address=clean(address), name=clean(name[:_MAX_NAME_CHARACTERS]), group=clean(group[:_MAX_NAME_CHARACTERS])
    )


def _is_address(text: str) -> bool:
    return len(text) <= _MAX_ADDRESS_CHARACTERS and bool(_ADDRESS.fullmatch(text))


class _List:
    """The elements of a list, which is read from left to right. An opening mark that is not closed is plain text."""

    def __init__(self, value: str) -> None:
        self._value = value
        self._position = 0
        self._element = _Element()
        self._group = ""
        self._is_in_group = False
        self._comments_close = self._brackets_close = True

    def elements(self) -> Iterator[tuple[_Element, str]]:
        """Yields each element with the name of its group. Each character is read once."""
        while special := _SPECIAL.search(self._value, self._position):
            self._element.words.append(self._value[self._position : special.start()])
            self._position = special.end()
            yield from self._read(special[0])
        self._element.words.append(self._value[self._position :])
        yield self._element, self._group

    def _read(self, mark: str) -> Iterator[tuple[_Element, str]]:
        if mark == "(":
            self._comment()
        elif mark == "<":
            yield from self._angle()
        elif mark in ",;":
            yield self._element, self._group
            self._separate(mark)
        elif mark == ":" and not self._is_in_group and self._element.can_name_a_group():
            self._group, self._is_in_group = _unquoted("".join(self._element.words)), True
            self._element = _Element()
        else:
            self._element.words.append(mark)

    def _comment(self) -> None:
        end = comment_end(self._value, self._position) if self._comments_close else 0
        if end:
            self._element.comments.append(self._value[self._position : end - 1])
            self._element.words.append(" ")
            self._position = end
        else:
            self._comments_close = False
            self._element.words.append("(")

    def _angle(self) -> Iterator[tuple[_Element, str]]:
        inside, end = self._within() if self._brackets_close else ("", 0)
        if not end:
            self._brackets_close = False
            self._element.words.append("<")
            return
        before = self._element
        if before.angle is not None and _mailbox(before.angle):  # two addresses that no separator keeps apart
            self._element = _Element(before.words[before.words_before :])
            del before.words[before.words_before :]
            yield before, self._group
        elif before.angle is not None:
            before.words.append(f"<{before.angle}> ")
        self._element.angle, self._element.words_before, self._position = inside, len(self._element.words), end

    def _within(self) -> tuple[str, int]:
        """Returns what stands within angle brackets, and the place behind them; quotes and comments may hold others."""
        position = self._position
        while mark := _WITHIN.search(self._value, position):
            position = mark.end()
            if mark[0][0] == ">":
                return self._value[self._position : mark.start()], position
            if mark[0] == "(" and self._comments_close:
                end = comment_end(self._value, position)
                self._comments_close, position = bool(end), end or position
        end = self._value.find(">", self._position)
        return (self._value[self._position : end], end + 1) if end >= 0 else ("", 0)

    def _separate(self, mark: str) -> None:
        self._element = _Element()
        if mark == ";":
            self._group, self._is_in_group = "", False
        if more := _SEPARATORS.match(self._value, self._position):
            self._position = more.end()


def _unquoted(words: str) -> str:
    """Returns words without their quotes and with their encoded words decoded."""
    return decode_words(
        _QUOTED.sub(lambda quoted: quoted[0] if quoted[1] is None else unescape(quoted[1]), words)
    ).strip()


def _addresses(element: _Element, group: str) -> Iterator[message_pb2.Address | None]:
    words = "".join(element.words)
    if element.angle is not None:
        name = _unquoted(words) or _named_by_comment(element)
        mailbox = _mailbox(element.angle)
        yield make_address(mailbox, name if mailbox else name or decode_words(element.angle.strip("<> ")), group)
    elif words.strip():
        yield from _loose(words, element, group)


def _named_by_comment(element: _Element) -> str:
    """Returns the last comment, where old mail has the name."""
    return decode_words(unescape(element.comments[-1])) if element.comments else ""


def _loose(words: str, element: _Element, group: str) -> Iterator[message_pb2.Address | None]:
    """Reads an element without angle brackets: one address, or several with names before them, or a name."""
    bare = words.strip()
    if mailbox := _mailbox(bare):
        yield make_address(mailbox, _named_by_comment(element), group)
        return
    names: list[str] = []
    rest: list[str] = []
    found: list[tuple[str, str]] = []
    for word in _WORD.findall(_joined(bare[-_MAX_LOOSE_CHARACTERS:])):
        if "@" in word and (mailbox := _mailbox(word.strip("<>'"))):
            found.append((mailbox, _unquoted(" ".join(names))))
            names = []
        else:
            names.append(word)
            rest.append(word)
    if not found or not _is_name(names) or any("@" in word and word[0] != '"' for word in rest):
        yield make_address("", _unquoted(bare), group)
        return
    for place, (mailbox, name) in enumerate(found):
        is_last = place == len(found) - 1
        yield make_address(
            mailbox, name or (_unquoted(" ".join(names)) or _named_by_comment(element) if is_last else ""), group
        )


def _is_name(words: list[str]) -> bool:
    """Tells whether words behind an address are a name, not the rest of an address that a blank has broken."""
    return not words or words[0][0] in "\"'" or words[0][0].isupper() or not words[0].isascii()


def _mailbox(text: str) -> str:
    """Returns the address that a text is, without comments, obsolete route (`@a,@b:`) and blanks; empty otherwise."""
    if text[:1] != "'" and _is_address(text):
        return text
    if len(text) > _MAX_LOOSE_CHARACTERS or "@" not in text:
        return ""
    bare = without_comments(text).strip().lstrip("< ")
    if bare[: len(_MAILTO)].lower() == _MAILTO:
        bare = bare[len(_MAILTO) :].partition("?")[0]
    route, colon, mailbox = bare.rpartition(":")
    if colon and route.lstrip().startswith("@"):
        bare = mailbox
    joined = _joined(bare).strip()
    # The name of a host ends with no quote, so that a pair around an address is none of it (RFC 1123 2.1).
    for candidate in (joined.strip("\"'") if joined[:1] == joined[-1:] else "", joined):
        if _is_address(candidate):
            return candidate
    return ""


def _joined(text: str) -> str:
    """Takes the blanks around dots and signs out."""
    return _BLANKS.sub(lambda found: found[1] or "".join(found[2].split()), text)
