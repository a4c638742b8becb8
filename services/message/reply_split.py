"""Split the text of a mail into its reply, quoted mail, forwarded mail and signature. Nothing is deleted.

Only lines are read, each once, and each in bounded time: patterns that span lines are what makes other splitters
take seconds for four kilobytes. The rules, in their order:

1. Places that the HTML marks as quoted (`reply_marks`).
2. Lines that begin with `>`.
3. A separator between dashes, or a block of at least three labels of one language in consecutive lines that begins with
   an author: everything below is quoted, or forwarded when the separator says so.
4. A line that introduces a quote ("On Monday, Kim wrote:"), with an address or a date. Below it, quoted are the lines
   that begin with `>`, or all lines when none does.
5. `-- ` or the line of a telephone, when at most twelve lines follow before a quote or the end: a signature.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mailmesh.mail.v1 import message_pb2
from services.message import reply_lines as look
from services.message.reply_marks import ATTRIBUTION, PERHAPS_REST, QUOTE, REST, SIGNATURE

MAX_CHARACTERS = 64 * 1024
"""Characters that are split; the text behind them belongs to the last span."""
MAX_LINE_CHARACTERS = 2000
_SIGNATURE_LINES = 12
_ATTRIBUTION_LINES = 3
_MIN_LABELS = 3
_LABELS_WITHOUT_ADDRESS = 4
_BLOCK_LINES = 14
_MAX_LINES = 5000
_MAX_TRIES = 100
"""Blocks of labels, and introductions, that are examined closely in one text."""

_REPLY = message_pb2.TEXT_SPAN_KIND_REPLY
_QUOTED = message_pb2.TEXT_SPAN_KIND_QUOTED
_SIGNATURE = message_pb2.TEXT_SPAN_KIND_SIGNATURE
_FORWARDED = message_pb2.TEXT_SPAN_KIND_FORWARDED
_HIGH, _MEDIUM, _LOW = (
    message_pb2.SPLIT_CONFIDENCE_HIGH, message_pb2.SPLIT_CONFIDENCE_MEDIUM, message_pb2.SPLIT_CONFIDENCE_LOW,
)  # fmt: skip

_MARKED = {QUOTE: _QUOTED, ATTRIBUTION: _QUOTED, SIGNATURE: _SIGNATURE}


@dataclass(frozen=True)
class Mark:
    """A place that the HTML marks.

    Args:
        position: In the text, in characters.
        kind: One of the kinds of `reply_marks`.
        is_begin: Whether the place begins here, else it ends.
    """

    position: int
    kind: str
    is_begin: bool


@dataclass(frozen=True)
class Split:
    """The parts of a text.

    Args:
        spans: Adjoining spans from the first character to the last: kind, start, end.
        method: How the history was found.
        confidence: How sure that is.
    """

    spans: Sequence[tuple["message_pb2.TextSpanKind.ValueType", int, int]]
    method: "message_pb2.SplitMethod.ValueType"
    confidence: "message_pb2.SplitConfidence.ValueType"


def split(text: str, marks: Sequence[Mark] = ()) -> Split:
    """Split a text. Time grows with its length; behind `MAX_CHARACTERS` nothing is read.

    Args:
        text: The whole text of a mail, lines end with a line feed.
        marks: The places that the HTML marks, in their order.
    """
    if not text:
        return Split((), message_pb2.SPLIT_METHOD_UNSPECIFIED, message_pb2.SPLIT_CONFIDENCE_UNSPECIFIED)
    lines = _Lines(text)
    lines.apply_marks(marks)
    lines.find_quotes()
    lines.find_signatures()
    confidence = min(lines.confidence, _LOW) if lines.is_cut else lines.confidence
    return Split(lines.spans(len(text)), lines.method, confidence)


class _Lines:
    """The lines of a text, and the kind of each line so far; None is not decided and becomes reply."""

    def __init__(self, text: str) -> None:
        given = text[:MAX_CHARACTERS].split("\n", _MAX_LINES)
        self.is_cut = len(text) > MAX_CHARACTERS or len(given) > _MAX_LINES
        del given[_MAX_LINES:]
        self.lines = [line[:MAX_LINE_CHARACTERS] for line in given]
        self.starts = list(_starts(given))
        self.kinds: list[message_pb2.TextSpanKind.ValueType | None] = [None] * len(given)
        self.method: message_pb2.SplitMethod.ValueType = message_pb2.SPLIT_METHOD_WHOLE
        self.confidence: message_pb2.SplitConfidence.ValueType = _HIGH
        self._introductions: set[int] = set()
        self._tries = {"block": _MAX_TRIES, "introduction": _MAX_TRIES}

    def apply_marks(self, marks: Sequence[Mark]) -> None:
        """Give the lines the kinds that the HTML says."""
        opened, number = "", 0
        for mark in marks:
            line = self._line_at(mark.position, number)
            self._close(opened, number, line)
            number, opened = line, mark.kind if mark.is_begin and mark.kind in _MARKED else ""
            if mark.kind == REST or (mark.kind == PERHAPS_REST and self._has_labels(line)):
                self._found(message_pb2.SPLIT_METHOD_HTML, _HIGH)
                return self._set(line, len(self.lines), _QUOTED)
        return self._close(opened, number, len(self.lines))

    def _close(self, opened: str, begin: int, end: int) -> None:
        if not opened:
            return
        self._set(begin, end, _MARKED[opened])
        if opened != SIGNATURE:
            self._found(message_pb2.SPLIT_METHOD_HTML, _HIGH)
        if opened == ATTRIBUTION:
            self._introductions.update(range(begin, end))

    def find_quotes(self) -> None:
        """Find quotes and forwards in the lines themselves."""
        for number, line in enumerate(self.lines):
            bare = line.strip(" \t\xa0")
            if not bare:
                continue
            if bare[0] == ">":
                if self.kinds[number] is None:
                    self.kinds[number] = _QUOTED
                    self._found(message_pb2.SPLIT_METHOD_TEXT, _HIGH)
            elif self._is_end_of_text(number, bare):
                return

    def find_signatures(self) -> None:
        """Find a signature at the end of each run of lines that are not quoted."""
        end = len(self.lines)
        while end > 0:
            if self.kinds[end - 1] is not None and self.lines[end - 1].strip():
                end -= 1
                continue
            begin = end
            while begin > 0 and (self.kinds[begin - 1] is None or not self.lines[begin - 1].strip()):
                begin -= 1
            self._sign(begin, end)
            end = begin

    def spans(self, length: int) -> list[tuple["message_pb2.TextSpanKind.ValueType", int, int]]:
        """Return the spans; an empty line belongs to the span before it."""
        if not any(self.kinds):
            return [(_REPLY, 0, length)]
        spans: list[tuple[message_pb2.TextSpanKind.ValueType, int, int]] = []
        for number, start in enumerate(self.starts):
            is_empty = not self.lines[number].strip()
            kind = spans[-1][0] if is_empty and spans else self.kinds[number] or _REPLY
            if is_empty and not spans:
                kind = next(
                    (k or _REPLY for k, line in zip(self.kinds, self.lines, strict=True) if line.strip()), _REPLY
                )
            if not spans:
                spans.append((kind, 0, length))
            elif spans[-1][0] != kind:
                spans[-1] = (*spans[-1][:2], start)
                spans.append((kind, start, length))
        return spans

    def _is_end_of_text(self, number: int, bare: str) -> bool:
        """Look for the beginning of a quote in a line; return whether all lines below belong to it."""
        kind = self.kinds[number]
        if bare[0] in "-_=" or bare[-1] in ":：":
            separator = look.separator(bare)
            if separator and (kind is None or number in self._introductions):
                return self._rest(number, separator, _HIGH)
        if kind is not None:
            return False
        if look.RULE.match(bare) and self._is_block(number + 1, needs_address=False):
            return self._rest(number, _QUOTED, _HIGH)
        if (":" in bare or "：" in bare) and self._is_block(number, needs_address=True):
            return self._rest(number, _QUOTED, _HIGH)
        return bare[-1] in ":：" and self._is_attribution(number)

    def _is_attribution(self, number: int) -> bool:
        self._tries["introduction"] -= 1
        first = self._attribution_start(number) if self._tries["introduction"] >= 0 else None
        if first is None:
            return False
        below = self._next(number + 1)
        is_above_quote = below is not None and (
            self.kinds[below] == _QUOTED or self.lines[below].lstrip(" \t\xa0").startswith(">")
        )
        introduction = " ".join(self.lines[first : number + 1])
        if is_above_quote:
            self._set(first, number + 1, _QUOTED)
            return False
        if below is None or not (look.has_address(introduction) or look.has_moment(introduction)):
            return False
        return self._rest(first, _QUOTED, _MEDIUM)

    def _attribution_start(self, number: int) -> int | None:
        """Return the first line of an introduction that ends in a line; None when there is none."""
        first = number
        while True:
            joined = " ".join(line.strip() for line in self.lines[first : number + 1])
            if len(joined) > look.ATTRIBUTION_CHARACTERS:
                return None
            if look.is_introduction(joined):
                break
            first -= 1
            if first < 0 or number - first >= _ATTRIBUTION_LINES or not self._is_free(first):
                return None
        above = first - 1
        if (
            above >= 0
            and number - above < _ATTRIBUTION_LINES
            and self._is_free(above)
            and not look.begins(self.lines[first])
        ):
            line = self.lines[above].strip()
            if (
                len(line) <= look.ATTRIBUTION_CHARACTERS
                and (look.begins(line) or look.DATE.match(line))
                and look.has_day(line)
            ):
                return above
        return first

    def _is_free(self, number: int) -> bool:
        return self.kinds[number] is None and bool(self.lines[number].strip())

    def _is_block(self, number: int, *, needs_address: bool) -> bool:
        """Tell whether a block of labels begins in a line: author, then date and subject or recipients."""
        while number < len(self.lines) and not self.lines[number].strip() and not needs_address:
            number += 1
        if number >= len(self.lines):
            return False
        first = look.LABEL.match(self.lines[number])
        if first is None or look.fold(first[1]) not in look.AUTHORS:
            return False
        self._tries["block"] -= 1
        if self._tries["block"] < 0:
            return False
        codes = [code for code, kind in look.LABELS[look.fold(first[1])].items() if kind == "author"]
        return any(self._is_block_in(code, number, has_address=look.has_address(first[2])) for code in codes)

    def _is_block_in(self, code: str, number: int, *, has_address: bool) -> bool:
        kinds = {
            look.LABELS[word][code]
            for word in self._words(number)
            if code in look.LABELS.get(word, ())
        }  # fmt: skip
        if not {"author", "subject"} <= kinds:
            return False
        return len(kinds) >= (_MIN_LABELS if has_address else _LABELS_WITHOUT_ADDRESS)

    def _words(self, number: int) -> Iterator[str]:
        """Yield the labels of consecutive lines; a line without one continues the value above it."""
        missing = 0
        for line in self.lines[number : number + _BLOCK_LINES]:
            if not line.strip() or missing > 2:  # noqa: PLR2004 - long lists of recipients
                return
            label = look.LABEL.match(line)
            missing = 0 if label else missing + 1
            if label:
                yield look.fold(label[1])

    def _has_labels(self, number: int) -> bool:
        """Tell whether three labels follow, of any language."""
        below = self._next(number)
        return below is not None and sum(1 for _ in self._words(below)) >= _MIN_LABELS

    def _sign(self, begin: int, end: int) -> None:
        """Make the end of a run of lines a signature, when a line there says so."""
        while end > begin and not self.lines[end - 1].strip():
            end -= 1
        last = None
        window = "\n".join(self.lines[max(begin, end - _SIGNATURE_LINES - 1) : end])
        if not any(word in window for word in look.DASHES_OF_SIGNATURES) and not look.names_product(window):
            return
        for number in range(end - 1, max(begin, end - _SIGNATURE_LINES - 1) - 1, -1):
            if self.kinds[number] is None and look.is_signature(self.lines[number]):
                last = number
        if last is not None:
            self._set(last, end, _SIGNATURE)

    def _rest(
        self,
        number: int,
        kind: "message_pb2.TextSpanKind.ValueType",
        confidence: "message_pb2.SplitConfidence.ValueType",
    ) -> bool:
        self._found(message_pb2.SPLIT_METHOD_TEXT, confidence)
        for place in range(number, len(self.lines)):
            self.kinds[place] = kind
        return True

    def _set(self, begin: int, end: int, kind: "message_pb2.TextSpanKind.ValueType") -> None:
        for place in range(begin, end):
            self.kinds[place] = kind

    def _found(
        self, method: "message_pb2.SplitMethod.ValueType", confidence: "message_pb2.SplitConfidence.ValueType"
    ) -> None:
        if self.method != message_pb2.SPLIT_METHOD_HTML:
            self.method = method
        self.confidence = min(self.confidence, confidence)

    def _next(self, number: int) -> int | None:
        return next((n for n in range(number, min(number + 4, len(self.lines))) if self.lines[n].strip()), None)

    def _line_at(self, position: int, number: int) -> int:
        """Return the first line that begins at a position or behind it."""
        while number < len(self.starts) and self.starts[number] < position:
            number += 1
        return number


def _starts(lines: Sequence[str]) -> Iterator[int]:
    position = 0
    for line in lines:
        yield position
        position += len(line) + 1
