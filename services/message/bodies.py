"""The readable forms of a mail: text and HTML out of the parts that are shown."""

import html as entities
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mailmesh.mail.v1 import message_pb2
from services.message import html
from services.message.bounds import HTML_BYTES, TEXT_BYTES, Cuts
from services.message.fields import clean
from services.message.html import Safe
from services.message.html_text import trimmed
from services.message.outline import MAX_TAGS
from services.message.reply_marks import mark, unmarked
from services.message.reply_spans import marked_text, set_spans
from services.message.reply_split import Mark

MAX_PARTS = 100
"""Parts that are shown one below the other; parts behind them count as cut."""


@dataclass(frozen=True)
class Part:
    """One part that is shown, in one or both of its forms.

    Args:
        text: As plain text, None when there is no such form.
        html: As HTML, None when there is no such form.
        is_cut: The forms are only the beginning.
    """

    text: str | None = None
    html: str | None = None
    is_cut: bool = False

    @property
    def has_html_only(self) -> bool:
        """The text must be made from the HTML; an empty alternative counts as none."""
        return self.html is not None and not (self.text or "").strip()


def make_body(parts: Sequence[Part], cuts: Cuts) -> message_pb2.Body:
    """Makes the body of the parts, which are shown one below the other.

    The HTML form is there when any part has one; parts without it are put in as text. The text form is always there:
    parts without it are made into text.

    Args:
        parts: In the order of the mail.
        cuts: Notes what was left out.
    """
    shown = [part for part in parts[:MAX_PARTS] if part.text is not None or part.html is not None]
    has_html = any(part.html is not None for part in shown)
    fragments = list(_fragments(shown, cuts)) if has_html else [Safe("")] * len(shown)
    if len(parts) > MAX_PARTS or any(part.is_cut for part in shown):
        cuts.is_text_cut, cuts.is_html_cut = True, cuts.is_html_cut or has_html
    text, marks = _joined_texts(shown, fragments)
    body = message_pb2.Body(
        text=cuts.text(text, TEXT_BYTES, "is_text_cut"),
        html=_joined([unmarked(fragment.html) for fragment in fragments], cuts) if has_html else "",
        is_text_from_html=any(part.has_html_only for part in shown),
        has_hidden_text=any(fragment.has_hidden_text for fragment in fragments),
    )
    set_spans(body, marks)
    return body


def text_as_html(text: str) -> str:
    """Makes a block of HTML of plain text."""
    lines = entities.escape(lines_of(text), quote=False).strip("\n ")
    return f"<div>{lines.replace(chr(10), '<br>')}</div>" if lines else ""


def lines_of(text: str) -> str:
    """Returns text with a line feed at the end of each line and without a byte order mark (RFC 3629 6).

    Form feed, U+0085, U+2028 and their like are characters of a line: they end none (RFC 5322 2.1).
    """
    text = text.removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _fragments(parts: Sequence[Part], cuts: Cuts) -> Iterator[Safe]:
    """Makes each part a sanitized fragment; together the parts have the bound of one."""
    left, tags = html.MAX_SOURCE_CHARACTERS, MAX_TAGS
    for part in parts:
        if part.html is None:
            yield Safe(text_as_html(part.text or ""))
            continue
        if len(part.html) > left:
            cuts.is_html_cut, cuts.is_text_cut = True, cuts.is_text_cut or part.has_html_only
            cuts.left_out_bytes += len(part.html) - left
        source = part.html[:left]
        made = html.make_safe(mark(source) if part.has_html_only else source, tags) if left else Safe("")
        if made.is_cut:
            cuts.is_html_cut, cuts.is_text_cut = True, cuts.is_text_cut or part.has_html_only
        yield made
        left, tags = max(0, left - len(part.html)), tags - made.tags


def _joined_texts(parts: Sequence[Part], fragments: Sequence[Safe]) -> tuple[str, list[Mark]]:
    """Joins the texts of the parts, and gives the places that their HTML marks as quoted."""
    texts: list[str] = []
    marks: list[Mark] = []
    for part, fragment in zip(parts, fragments, strict=True):
        if text := _text(part, fragment.html, marks, sum(len(before) + 2 for before in texts)):
            texts.append(text)
    return "\n\n".join(texts), marks


def _text(part: Part, fragment: str, marks: list[Mark], start: int) -> str:
    if part.has_html_only:
        return clean(marked_text(fragment, marks, start))
    return clean("\n".join(trimmed(line) for line in lines_of(part.text or "").split("\n")).strip("\n"))


def _joined(fragments: list[str], cuts: Cuts) -> str:
    whole = "\n".join(fragment for fragment in fragments if fragment)
    size = len(whole.encode())
    if size <= HTML_BYTES:
        return whole
    cut = html.cut(whole, HTML_BYTES)
    cuts.is_html_cut = True
    cuts.left_out_bytes += size - len(cut.encode())
    return cut
