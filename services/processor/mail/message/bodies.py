"""The readable forms of a mail: text and HTML out of the parts that are shown."""

import html as entities
from collections.abc import Sequence
from dataclasses import dataclass

from mailmesh.mail.v1 import message_pb2
from services.processor.mail.message import html
from services.processor.mail.message.bounds import HTML_BYTES, TEXT_BYTES, Cuts
from services.processor.mail.message.fields import clean

MAX_PARTS = 100
"""Parts that are shown one below the other; what is behind them counts as cut."""


@dataclass(frozen=True)
class Part:
    """One part that is shown, in one or both of its forms.

    Args:
        text: As plain text, None when there is no such form.
        html: As HTML, None when there is no such form.
        is_cut: It is only the beginning.
    """

    text: str | None = None
    html: str | None = None
    is_cut: bool = False

    @property
    def has_html_only(self) -> bool:
        """There is no text but what can be made from the HTML; an empty alternative counts as none."""
        return self.html is not None and not (self.text or "").strip()


def make_body(parts: Sequence[Part], cuts: Cuts) -> message_pb2.Body:
    """Makes the body of the parts, which are shown one below the other.

    The HTML form is there when any part has one; parts without it are put in as text. The text form is always there:
    parts without it are made into text.

    Args:
        parts: In the order of the mail.
        cuts: Is told what was left out.
    """
    shown = [part for part in parts[:MAX_PARTS] if part.text is not None or part.html is not None]
    fragments = [_fragment(part, cuts) for part in shown]
    has_html = any(part.html is not None for part in shown)
    if len(parts) > MAX_PARTS or any(part.is_cut for part in shown):
        cuts.is_text_cut, cuts.is_html_cut = True, cuts.is_html_cut or has_html
    texts = [_text(part, fragment) for part, fragment in zip(shown, fragments, strict=True)]
    text = "\n\n".join(text for text in texts if text)
    return message_pb2.Body(
        text=cuts.text(text, TEXT_BYTES, "is_text_cut"),
        html=_joined(fragments, cuts) if has_html else "",
        is_text_from_html=any(part.has_html_only for part in shown),
    )


def _fragment(part: Part, cuts: Cuts) -> str:
    """The part as a sanitized fragment."""
    if part.html is None:
        lines = entities.escape(part.text or "", quote=False).replace("\r\n", "\n").strip()
        return f"<div>{lines.replace(chr(10), '<br>')}</div>" if lines else ""
    if len(part.html) > html.MAX_SOURCE_CHARACTERS:
        cuts.is_html_cut, cuts.is_text_cut = True, cuts.is_text_cut or part.has_html_only
        cuts.left_out_bytes += len(part.html) - html.MAX_SOURCE_CHARACTERS
    return html.sanitize(part.html)


def _text(part: Part, fragment: str) -> str:
    made = html.to_text(fragment) if part.has_html_only else part.text or ""
    return clean("\n".join(line.rstrip() for line in made.splitlines()).strip("\n"))


def _joined(fragments: list[str], cuts: Cuts) -> str:
    whole = "\n".join(fragment for fragment in fragments if fragment)
    size = len(whole.encode())
    if size <= HTML_BYTES:
        return whole
    cut = html.cut(whole, HTML_BYTES)
    cuts.is_html_cut = True
    cuts.left_out_bytes += size - len(cut.encode())
    return cut
