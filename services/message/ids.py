"""Message ids in header fields (RFC 5322 3.6.4 and 4.5.4)."""

import re
from collections.abc import Iterator

from services.message.syntax import comment_end, without_comments
from services.message.words import decode_words

MAX_MESSAGE_ID_CHARACTERS = 998
"""The longest line of a mail; a longer text is no message id."""
_MAX_REFERENCES = 200
_MAX_IDS_CHARACTERS = 256 * 1024
_MAX_PHRASE_CHARACTERS = 4096
_MARK = re.compile(r'"(?:[^"\\]|\\.)*+"|\\.|\(|<[<\s]{0,20}+([^<>]{1,1200}+)>', re.DOTALL)
_BLANKS = re.compile(r'("(?:[^"\\]|\\.)*+"|\\.)|\s++', re.DOTALL)
_BARE = re.compile(r"[^\s,;<>]+")


def message_ids(value: str) -> Iterator[str]:
    """Finds the message ids in a header value.

    Comments, phrases and quoted strings hold none, even if something in angle brackets stands in them (RFC 5322
    4.5.4). A value that is an encoded word, as Python's own library writes long ids, is decoded first. Ids that have
    lost a bracket are found when the value holds nothing else; commas may separate them.

    Yields:
        At most 200, the last ones of the value; each with angle brackets and without white space.
    """
    text = decode_words(value[-_MAX_IDS_CHARACTERS:])
    found = [f"<{_without_blanks(content)}>" for content in _in_brackets(text)]
    if not found and "@" in text:
        words = _BARE.findall(text)
        found = [f"<{word}>" for word in words] if all("@" in word for word in words) else []
    kept = [message_id for message_id in found if len("<>") < len(message_id) <= MAX_MESSAGE_ID_CHARACTERS]
    yield from kept[-_MAX_REFERENCES:]


def answered_id(value: str) -> str:
    """Finds the id of the mail that is answered in an `In-Reply-To`; empty without one.

    Where words precede the first bracket, as in `Kim <kim@x.example>'s message of <1@x.example>`, brackets may hold
    addresses, and the id stands last (RFC 5322 4.5.4).
    """
    found = list(message_ids(value))
    before, bracket, _ = decode_words(value[:_MAX_PHRASE_CHARACTERS]).partition("<")
    has_phrase = bracket and without_comments(before).strip(" \t\r\n,;")
    return found[-1 if has_phrase else 0] if found else ""


def _without_blanks(content: str) -> str:
    """Takes out the blanks of folding, which are none of a quoted string (RFC 5322 3.6.4, obs-id-left)."""
    if '"' not in content:
        return "".join(content.split())
    return _BLANKS.sub(lambda found: found[1] or "", content)


def _in_brackets(text: str) -> Iterator[str]:
    """Yields what stands in angle brackets outside of comments and quoted strings, in one pass over the text."""
    position, comments_close = 0, True
    while mark := _MARK.search(text, position):
        position = mark.end()
        if mark[1]:
            yield mark[1]
        elif mark[0] == "(" and comments_close:
            end = comment_end(text, position)
            comments_close, position = bool(end), end or position
