"""Address lists of mail headers (RFC 5322, with what senders make of it).

The parser of the standard library takes time that grows with the square of the list and recurses on nested comments:
ten thousand recipients or a thousand parentheses bring it down. This one reads a list once, from left to right.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mailmesh.mail.v1 import message_pb2
from services.processor.mail.message.fields import clean
from services.processor.mail.message.words import decode_words

MAX_LIST_CHARACTERS = 512 * 1024
"""What is read of one header; the rest is left out."""
_MAX_NAME_CHARACTERS = 512
_MAX_ADDRESS_CHARACTERS = 512
_MAX_LOOSE_CHARACTERS = 2048
"""What is searched for an address where nothing marks it."""

_SPECIAL = re.compile(r'"(?:[^"\\]|\\.)*+"|\\.|\[[^\]]{0,255}+\]|[(),;:<]', re.DOTALL)
_PARENTHESIS = re.compile(r"\\.|[()]", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ADDRESS = re.compile(r'(?:"(?:[^"\\]|\\.)*+"|[^\s@<>",;:()]+)@(?:\[[^\]]{0,255}+\]|[^\s@<>",;:()\[\]]+)')


@dataclass
class _Element:
    """What stands between two separators."""

    words: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    angle: str | None = None


def parse_addresses(value: str) -> list[message_pb2.Address]:
    """Reads an address list: groups, comments, quoted names, encoded words, missing brackets, missing names.

    Args:
        value: The unfolded value of a header; what is behind `MAX_LIST_CHARACTERS` is not read.

    Returns:
        The addresses in order. What is not an address is given as a name without an address.
    """
    return [made for element, group in _elements(value[:MAX_LIST_CHARACTERS]) if (made := _address(element, group))]


def make_address(address: str, name: str, group: str = "") -> message_pb2.Address | None:
    """Makes an address of its parts: white space set right, a name that only repeats the address left out.

    Args:
        address: What should be `local@domain`. Anything else (an Exchange path, a phrase) becomes the name.
        name: The display name, decoded.
        group: The group that it stands in, decoded.

    Returns:
        The address, or None when nothing is left.
    """
    address, name = address.strip(), " ".join(name.split())
    if not _ADDRESS.fullmatch(address) or len(address) > _MAX_ADDRESS_CHARACTERS:
        address, name = "", name or " ".join(address.split())
    if address and name.strip("'\"").casefold() == address.casefold():
        name = ""
    if not address and not name:
        return None
    return message_pb2.Address(
        address=clean(address), name=clean(name[:_MAX_NAME_CHARACTERS]), group=clean(group[:_MAX_NAME_CHARACTERS])
    )


def _elements(value: str) -> Iterator[tuple[_Element, str]]:
    """Takes a list apart at its separators. Each character is looked at once: what is not closed is plain text."""
    element, group, position = _Element(), "", 0
    comments_close = brackets_close = True
    while special := _SPECIAL.search(value, position):
        mark = special[0]
        element.words.append(value[position : special.start()])
        position = special.end()
        if mark == "(" and comments_close and (end := _comment_end(value, position)):
            element.comments.append(value[position : end - 1])
            position = end
        elif mark == "(":
            comments_close = False
        elif mark == "<" and brackets_close and (end := value.find(">", position)) >= 0:
            element.angle, position = value[position:end], end + 1
        elif mark == "<":
            brackets_close = False
        elif mark in ",;":
            yield element, group
            element, group = _Element(), group if mark == "," else ""
        elif mark == ":" and not group and _can_name_a_group(element):
            element, group = _Element(), _unquoted("".join(element.words))
        else:
            element.words.append(mark)
    element.words.append(value[position:])
    yield element, group


def _can_name_a_group(element: _Element) -> bool:
    words = "".join(element.words)
    return element.angle is None and "@" not in words and words.strip().lower() != "mailto"


def _comment_end(value: str, position: int) -> int:
    """Returns the place behind the parenthesis that closes the comment, 0 when none does."""
    depth = 1
    while found := _PARENTHESIS.search(value, position):
        position = found.end()
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if not depth:
            return position
    return 0


def _unquoted(words: str) -> str:
    """Words with their quotes taken off and their encoded words decoded."""
    return decode_words(_QUOTED.sub(lambda quoted: _ESCAPED.sub(r"\1", quoted[1]), words)).strip()


def _name(element: _Element, words: str) -> str:
    """The words before the address, or as mail of old has it, the comment behind it."""
    return _unquoted(words) or decode_words(_ESCAPED.sub(r"\1", " ".join(element.comments)))


def _address(element: _Element, group: str) -> message_pb2.Address | None:
    words = "".join(element.words)
    if element.angle is not None:
        return make_address(_mailbox(element.angle), _name(element, words), group)
    bare = words.strip()[-_MAX_LOOSE_CHARACTERS:]
    if found := list(_ADDRESS.finditer(bare)):
        name = _name(element, bare[: found[-1].start()])
        return make_address(found[-1][0], name.removeprefix("mailto:"), group)
    return make_address("", _name(element, bare), group)


def _mailbox(angle: str) -> str:
    """What stands in angle brackets, without an obsolete route (`@a,@b:`) and without white space."""
    route, colon, mailbox = angle.rpartition(":")
    address = mailbox if colon and route.lstrip().startswith("@") else angle
    return address if '"' in address else "".join(address.split())
