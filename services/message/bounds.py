"""The bounds of a mail and of an event, and the parts that are left out to keep them.

Each part of a mail has a bound of its own, so that no part can crowd out another; `raw` gets what they leave of the
event's. An event that is too large all the same, by an unexpected way, is cut again by `fit`.
"""

from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from mailmesh.mail.v1 import event_pb2, message_pb2
from services.message.raw import bounded_struct

EVENT_BYTES = 1024 * 1024
TEXT_BYTES = 256 * 1024
HTML_BYTES = 320 * 1024
HEADERS_BYTES = 64 * 1024
RECIPIENTS_BYTES = 96 * 1024
ATTACHMENTS_BYTES = 48 * 1024
SHORT_BYTES = 4 * 1024
"""Of a subject, a preview, a web link; of all categories, of all labels."""
SHORT_CHARACTERS = 32 * 1024
"""The length that is read of a subject or a preview: enough for four kilobytes in any encoding that senders use."""
MAX_RECIPIENTS = 10_000
"""Recipients that are read of one mail. Ten thousand of the shortest addresses fill their bound of bytes."""
MAX_ATTACHMENTS = 5000
"""Attachments that are described. A fifth of them, without names, fills their bound of bytes."""
_ENVELOPE_BYTES = 16 * 1024
"""Kept free for ids, thread, change and position."""
_REFERENCES_BYTES = 32 * 1024


@dataclass
class Cuts:
    """The parts that have been left out so far."""

    is_text_cut: bool = False
    is_html_cut: bool = False
    is_raw_cut: bool = False
    are_headers_cut: bool = False
    are_recipients_cut: bool = False
    are_attachments_cut: bool = False
    left_out_bytes: int = 0

    def truncation(self, event_bytes: int) -> event_pb2.Truncation | None:
        """Makes the contract's message of it; None when nothing was left out.

        Args:
            event_bytes: The rest of the event's bytes.
        """
        flags = {name: value for name, value in vars(self).items() if isinstance(value, bool) and value}
        if not flags:
            return None
        return event_pb2.Truncation(original_size_bytes=event_bytes + self.left_out_bytes, **flags)

    def text(self, value: str, max_bytes: int, flag: str) -> str:
        """Takes the beginning of a text, by whole characters."""
        if len(value) <= max_bytes // 4 or len(data := value.encode()) <= max_bytes:
            return value
        setattr(self, flag, True)
        self.left_out_bytes += len(data) - max_bytes
        return data[:max_bytes].decode("utf-8", "ignore")

    def start(self, value: str, max_characters: int, flag: str) -> str:
        """Takes the beginning of a source that is read in part; no form of it keeps more."""
        if len(value) <= max_characters:
            return value
        setattr(self, flag, True)
        self.left_out_bytes += len(value) - max_characters
        return value[:max_characters]

    def some(self, values: list[Any], max_bytes: int, flag: str) -> list[Any]:
        """Takes the first of a list of messages or strings, as many as fit."""
        kept, used = [], 0
        for place, value in enumerate(values):
            used += _size(value) + 4
            if used > max_bytes:
                setattr(self, flag, True)
                self.left_out_bytes += sum(_size(left_out) + 4 for left_out in values[place:])
                break
            kept.append(value)
        return kept


def bound(message: message_pb2.MailMessage, cuts: Cuts) -> None:
    """Cuts the parts of a mail, but for its body, to their bounds, in place."""
    for name in ("subject", "preview"):
        if (kept := cuts.text(getattr(message, name), SHORT_BYTES, "are_headers_cut")) != getattr(message, name):
            setattr(message, name, kept)
    # An entry takes two bytes beside its content, and is counted with four: the count is at most twice the size.
    most = 2 * (message.ByteSize() - message.body.ByteSize())
    if most > HEADERS_BYTES:
        _keep(message.headers, cuts.some(list(message.headers), HEADERS_BYTES, "are_headers_cut"))
    if most > _REFERENCES_BYTES:  # the last ones are the nearest
        _keep(message.references, cuts.some(list(message.references)[::-1], _REFERENCES_BYTES, "are_headers_cut")[::-1])
    if most > ATTACHMENTS_BYTES:
        _keep(message.attachments, cuts.some(list(message.attachments), ATTACHMENTS_BYTES, "are_attachments_cut"))
    if most > SHORT_BYTES:
        for values in (message.categories, message.label_ids):
            _keep(values, cuts.some(list(values), SHORT_BYTES, "are_headers_cut"))
    if most > RECIPIENTS_BYTES:
        _bound_recipients(message, cuts)


def _bound_recipients(message: message_pb2.MailMessage, cuts: Cuts) -> None:
    left = RECIPIENTS_BYTES
    for recipients in (message.reply_to, message.to, message.cc, message.bcc):
        _keep(recipients, kept := cuts.some(list(recipients), left, "are_recipients_cut"))
        left -= sum(_size(address) + 4 for address in kept)


def raw_budget(message: message_pb2.MailMessage) -> int:
    """Return the bytes that an event with this mail has left for `raw`."""
    return max(0, EVENT_BYTES - _ENVELOPE_BYTES - message.ByteSize())


def fit(event: event_pb2.NormalizedMailEvent) -> event_pb2.NormalizedMailEvent:
    """Gives an event within the bound of 1 MiB: itself when it is, else a copy that leaves out what it must.

    Raw goes first, then HTML, text, headers, recipients, attachments; the flags of `truncation` say what went.
    """
    original = event.ByteSize()
    if original <= EVENT_BYTES - _ENVELOPE_BYTES:
        return event
    cut = event_pb2.NormalizedMailEvent()
    cut.CopyFrom(event)
    for name, give_up in _GIVEN_UP:
        if cut.ByteSize() > EVENT_BYTES - _ENVELOPE_BYTES and give_up(cut):
            setattr(cut.truncation, name, True)
    cut.truncation.original_size_bytes = max(cut.truncation.original_size_bytes, original)
    return cut


def _fit_raw(event: event_pb2.NormalizedMailEvent) -> bool:
    given = MessageToDict(event.raw)
    event.ClearField("raw")
    raw, _ = bounded_struct(given, max(0, EVENT_BYTES - _ENVELOPE_BYTES - event.ByteSize()))
    event.raw.CopyFrom(raw)
    return True


def _drop(owner: str, *names: str) -> Any:
    def drop(event: event_pb2.NormalizedMailEvent) -> bool:
        holder = event.message.body if owner == "body" else event.message
        present = {field.name for field, _ in holder.ListFields()}.intersection(names)
        for name in present:
            holder.ClearField(name)  # type: ignore[arg-type] # the names are those of the message
        return bool(present)

    return drop


_GIVEN_UP = (
    ("is_raw_cut", _fit_raw),
    ("is_html_cut", _drop("body", "html")),
    ("is_text_cut", _drop("body", "text", "spans", "split_method", "split_confidence")),
    ("are_headers_cut", _drop("message", "headers", "references")),
    ("are_recipients_cut", _drop("message", "to", "cc", "bcc", "reply_to")),
    ("are_attachments_cut", _drop("message", "attachments")),
)


def _keep(values: Any, kept: list[Any]) -> None:
    """Replaces a repeated field by the part of it that is kept."""
    if len(values) != len(kept):
        del values[:]
        values.extend(kept)


def _size(value: Any) -> int:
    return len(value.encode()) if isinstance(value, str) else int(value.ByteSize())
