"""Reports about sent mail: bounces (RFC 3464, RFC 6522), complaints (RFC 5965), and the providers' own forms.

A report is a claim of a stranger. It is read here, and proves nothing before it is compared with what was sent.
"""

import re
from collections.abc import Iterable, Iterator

from mailmesh.mail.v1 import message_pb2
from services.message.addresses import parse_addresses
from services.message.fields import clean
from services.message.headers import Headers
from services.message.report_parts import Report, ReportPart, fields_of, read_head, split

MAX_REPORTED = 100
"""Recipients that are read of one report."""
_DIAGNOSTIC_CHARACTERS = 300
_ADDRESS_CHARACTERS = 320
_TEXT_CHARACTERS = 32 * 1024
_STATUS_PARTS = frozenset({"message/delivery-status", "message/global-delivery-status"})
_FEEDBACK = "message/feedback-report"
_MAX_ID_BYTES = 998
"""The longest line of a mail (RFC 5322, 2.1.1); an index holds no longer id."""
_ORIGINALS = frozenset(
    {
        "message/rfc822", "message/global", "text/rfc822", "text/rfc822-headers", "message/rfc822-headers",
        "message/global-headers",
    }
)  # fmt: skip
_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_BASIC = re.compile(r"(?<![\d.])([45])\d\d(?![\d.])")
_IN_TEXT = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}[A-Za-z0-9]")
# A copy of the mail begins here: the addresses in it are those of all recipients, and not of those that failed.
_COPY = re.compile(
    r"^[ \t>*|-]{0,20}(?:from|to|cc|received|return-path|message-id)[ \t]{0,9}:"
    r"|below this line|original (?:message|header)|forwarded message",
    re.IGNORECASE | re.MULTILINE,
)
_PASSING = frozenset({"5.2.2", "5.1.90", "5.4.5", "5.7.232", "5.7.233"})
"""Statuses of class 5 that pass by themselves, and say nothing about the address: a full mailbox (RFC 3463), and the
sender's own limit of recipients in a day, of a mailbox (5.1.90) and of an organisation (5.7.232, 5.7.233; Microsoft's
page of non-delivery reports), and of a Google account (5.4.5, "Daily user sending quota exceeded")."""
_FEEDBACK_TYPE = re.compile(r"[a-z][a-z0-9-]{0,39}")
_NO_COMPLAINT = frozenset({"not-spam"})
_ACTIONS = frozenset({"failed", "delayed", "delivered", "relayed", "expanded"})


def read_report(raw: bytes) -> message_pb2.DeliveryReport | None:
    """Read a bounce or a complaint.

    Args:
        raw: The whole mail in MIME, of any content; only its first 256 KiB are read.

    Returns:
        The report, or None when the mail reports about no recipient.
    """
    report = split(raw)
    feedback = next((part for part in report.parts if part.media_type == _FEEDBACK), None)
    original = _original(report.parts)
    made = message_pb2.DeliveryReport()
    if feedback is not None or original.has("X-HmXmrOriginalRecipient"):
        _complaint(made, feedback, original)
    else:
        made.recipients.extend(_unique(_bounced(report)))
    if not made.recipients:
        return None
    made.original_message_id = _cited(report, original)
    return made


def _original(parts: Iterable[ReportPart]) -> Headers:
    found = next((part for part in parts if part.media_type in _ORIGINALS), None)
    return read_head(found.content.lstrip("\n"))[0] if found else Headers([])


def _cited(report: Report, original: Headers) -> str:
    """Return the one id of the reported mail: the mail itself has it before what the report says of it."""
    block = next((one for one in _blocks(report.parts) if one.has("X-Original-Message-ID")), Headers([]))
    references = report.headers.message_ids("References")
    candidates = (
        *original.message_ids("Message-ID")[:1],
        *block.message_ids("X-Original-Message-ID")[:1],
        report.headers.answered_id(),
        *references[-1:],
    )
    return next((clean(one) for one in candidates if one and len(one.encode()) <= _MAX_ID_BYTES), "")


def _complaint(made: message_pb2.DeliveryReport, feedback: ReportPart | None, original: Headers) -> None:
    """Read a complaint. A redacted one names the recipient in the returned mail, if it has one alone."""
    fields = Headers(fields_of(feedback.content)) if feedback else original
    kind = fields.word("Feedback-Type") or "abuse"
    kind = kind if _FEEDBACK_TYPE.fullmatch(kind) else "other"
    if kind in _NO_COMPLAINT:
        return
    made.feedback_type = kind
    named = [*fields.all("Original-Rcpt-To"), *original.all("X-HmXmrOriginalRecipient")]
    addresses = [found for value in named[:MAX_REPORTED] if (found := _address(value))]
    if not addresses:
        only = [one.address for one in parse_addresses(original.first("To")[:4000], 2)]
        addresses = only if len(only) == 1 else []
    made.recipients.extend(_unique(message_pb2.ReportedRecipient(address=one) for one in addresses))


def _bounced(report: Report) -> Iterator[message_pb2.ReportedRecipient]:
    blocks = [one for one in _blocks(report.parts) if one.has("Final-Recipient") or one.has("Original-Recipient")]
    if blocks:
        yield from filter(None, map(_recipient, blocks))
        return
    yield from _from_text(report)


def _blocks(parts: Iterable[ReportPart]) -> Iterator[Headers]:
    """Yield the blocks of the status: first the one about the mail, then one for each recipient (RFC 3464 2.1)."""
    status = next((part for part in parts if part.media_type in _STATUS_PARTS), None)
    for block in (status.content.split("\n\n", 4 * MAX_REPORTED) if status else [])[: 4 * MAX_REPORTED]:
        yield Headers(fields_of(block.strip("\n")))


def _recipient(block: Headers) -> message_pb2.ReportedRecipient | None:
    # The original recipient is the one that was written to; a forwarding server reports another as the final one.
    address = _address(block.first("Original-Recipient")) or _address(block.first("Final-Recipient"))
    if not address:
        return None
    action, diagnostic = block.word("Action"), block.first("Diagnostic-Code")
    status = _status(block.first("Status"), diagnostic)
    return _made(address, action if action in _ACTIONS else "failed", status, diagnostic)


def _from_text(report: Report) -> Iterator[message_pb2.ReportedRecipient]:
    """Read a report without a status: the recipients that a field names, else those in its own words."""
    words = next((part.content[:_TEXT_CHARACTERS] for part in report.parts if part.media_type == "text/plain"), "")
    copy = _COPY.search(words)
    words = words[: copy.start()] if copy else words
    failed = [one.address for one in parse_addresses(report.headers.first("X-Failed-Recipients")[:4000], MAX_REPORTED)]
    own = {one.address.lower() for one in parse_addresses(report.headers.first("From")[:4000], 1)}
    names = failed or [one for one in _IN_TEXT.findall(words) if one.lower() not in own]
    status = _status("", words)
    for address in dict.fromkeys(names[:MAX_REPORTED]):
        at = words.find(address)
        yield _made(address, "failed", status, words[at:] if at >= 0 else words)


def _made(address: str, action: str, status: str, diagnostic: str) -> message_pb2.ReportedRecipient:
    made = message_pb2.ReportedRecipient(address=address, action=action, status=status, diagnostic=_safe(diagnostic))
    if action == "failed":
        is_hard = not status.startswith("4.") and status not in _PASSING
        made.bounce = message_pb2.BOUNCE_KIND_HARD if is_hard else message_pb2.BOUNCE_KIND_SOFT
    return made


def _status(given: str, diagnostic: str) -> str:
    """Return the enhanced code (RFC 3463); from a basic code only its class."""
    enhanced = _ENHANCED.search(given[:200]) or _ENHANCED.search(diagnostic[:_TEXT_CHARACTERS])
    if enhanced:
        return enhanced[1]
    basic = _BASIC.search(given[:200]) or _BASIC.search(diagnostic[:_TEXT_CHARACTERS])
    return f"{basic[1]}.0.0" if basic else ""


def _address(value: str) -> str:
    """Return the address of a typed field such as `rfc822; a@b` (RFC 3464 2.1.2); empty without one."""
    bare = value.rpartition(";")[2].strip().strip("<>").strip()
    is_one = "@" in bare and len(bare) <= _ADDRESS_CHARACTERS and bare.isprintable() and " " not in bare
    return clean(bare) if is_one else ""


def _unique(found: Iterable[message_pb2.ReportedRecipient]) -> list[message_pb2.ReportedRecipient]:
    """Keep the last report of each recipient, at most 100."""
    by_address = {one.address.lower(): one for one in found}
    return list(by_address.values())[:MAX_REPORTED]


def _safe(text: str) -> str:
    """Make a stranger's words one printable line of at most 300 characters."""
    line = " ".join(text[: 4 * _DIAGNOSTIC_CHARACTERS].split())
    return clean("".join(one if one.isprintable() else "?" for one in line)[:_DIAGNOSTIC_CHARACTERS])
