"""The line of a mail that a result shows: text from a stranger, made harmless, with the places of the found words."""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import islice

from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import search_service_pb2 as pb2
from services.processor.search.query import Query
from services.processor.search.terms import MAX_TEXT_CHARACTERS, has_attachment
from services.processor.search.words import placed_words

MAX_CHARACTERS = 200
MAX_HIGHLIGHTS = 20
_BEFORE = 60
_READ = 1000
"""The characters of the mail that are read for one snippet: white space between words shrinks."""


def hit_of(message: message_pb2.MailMessage, query: Query) -> pb2.SearchHit:
    """Return what a result shows of a mail; the ids are the caller's to set."""
    text = message.body.text[:MAX_TEXT_CHARACTERS]
    snippet, highlights = snippet_of(text, query)
    return pb2.SearchHit(
        received_at=message.mail_received_at if message.HasField("mail_received_at") else None,
        subject=message.subject,
        from_address=message.from_address if message.HasField("from_address") else None,
        snippet=snippet,
        highlights=[pb2.SearchHighlight(start=start, end=end) for start, end in highlights],
        has_attachment=has_attachment(message),
    )


def snippet_of(text: str, query: Query) -> tuple[str, list[tuple[int, int]]]:
    """Return a line of a text around the first found word, and the places of the found words in it."""
    first = next((start for start, _ in _found(text, query)), 0)
    begin = max(0, first - _BEFORE)
    part = text[begin : begin + _READ]
    line, places = _one_line(part)
    highlights: list[tuple[int, int]] = []
    # The last word may be cut; it ends behind the snippet.
    for start, end in islice(_found(part[: len(places) - 1], query), MAX_HIGHLIGHTS):
        shown = places[start], places[end]
        if shown[1] <= MAX_CHARACTERS and shown[0] < shown[1] and (not highlights or shown[0] >= highlights[-1][1]):
            highlights.append(shown)
    return line[:MAX_CHARACTERS].rstrip(), highlights


def _found(text: str, query: Query) -> Iterator[tuple[int, int]]:
    closed = {word for phrase in query.phrases for word in (phrase.words[:-1] if phrase.is_open else phrase.words)}
    opened = tuple(phrase.words[-1] for phrase in query.phrases if phrase.is_open)
    for word, start, end in placed_words(text) if closed or opened else ():
        if word in closed or (opened and word.startswith(opened)):
            yield start, end


def _one_line(text: str) -> tuple[str, Sequence[int]]:
    """Return the begin of a text as one line without control characters, long enough for a snippet.

    Returns:
        The line, and the place in it of each character of the text that was read, the end included.
    """
    line: list[str] = []
    places: list[int] = []
    for character in text:
        if len(line) > MAX_CHARACTERS:
            break
        places.append(len(line))
        kind = unicodedata.category(character)
        if character.isspace() or kind in ("Zl", "Zp", "Cc"):
            if line and line[-1] != " ":
                line.append(" ")
        elif kind not in ("Cf", "Cs", "Co", "Cn"):
            line.append(character)
    places.append(len(line))
    return "".join(line), places
