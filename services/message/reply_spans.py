"""The spans of a body: the places that its HTML marks, brought into its text, and the split of the text."""

import re

from mailmesh.mail.v1 import message_pb2
from services.message.html_text import to_text
from services.message.reply_marks import read_mark
from services.message.reply_split import Mark, split

_WORD = re.compile(r"\S++")


def marked_text(fragment: str, marks: list[Mark], start: int) -> str:
    """Make text of a sanitized fragment.

    Args:
        fragment: A fragment with the marks of `reply_marks.mark`.
        marks: Gets the marks, with their positions in the text.
        start: The position of this text in the whole text of the mail.
    """
    found: list[tuple[str, int]] = []
    text = to_text(fragment, found)
    known = [(read, count) for attributes, count in found if (read := read_mark(attributes)) is not None]
    positions = _positions(text, [count for _, count in known])
    marks += [Mark(start + place, kind, begin) for ((kind, begin), _), place in zip(known, positions, strict=True)]
    return text


def set_spans(body: message_pb2.Body, marks: list[Mark]) -> None:
    """Set the spans of a body, the method and the confidence.

    Args:
        body: A body with its text.
        marks: The places that the HTML marks, in their order.
    """
    made = split(body.text, marks)
    body.split_method, body.split_confidence = made.method, made.confidence
    for kind, start, end in made.spans:
        body.spans.add(kind=kind, start=start, end=end)


def _positions(text: str, counts: list[int]) -> list[int]:
    """Return the position behind each number of characters that are not blank; the numbers never fall."""
    positions: list[int] = []
    words = _WORD.finditer(text) if counts else iter(())
    before = 0
    start = end = 0
    for count in counts:
        while before + (end - start) < count and (word := next(words, None)) is not None:
            before += end - start
            start, end = word.span()
        positions.append(min(start + count - before, len(text)) if count else 0)
    return positions
