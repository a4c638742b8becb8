"""The original below an answer or a forward, as text and as HTML."""

import html
import re
from datetime import UTC

from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import send_service_pb2 as pb2

_TAG = re.compile(r"<!--|<(style|script|title|textarea|xmp|body)\b", re.IGNORECASE)
_QUOTE = '<blockquote style="margin:0 0 0 0.8ex;border-left:1px solid #ccc;padding-left:1ex">'


def with_text_quote(mail: pb2.NewMail, original: message_pb2.MailMessage, *, is_forward: bool) -> str:
    """Return a mail's text with the original below it; an answer's quote is marked line by line."""
    own, quoted = mail.text.rstrip(), original.body.text.strip()
    head = _forward_head(original) if is_forward else f"{_wrote(original)}:"
    lines = quoted if is_forward else "\n".join(f"> {line}".rstrip() for line in quoted.splitlines())
    return "\n\n".join(part for part in (own, f"{head}\n{lines}" if not is_forward else f"{head}\n\n{lines}") if part)


def with_html_quote(mail: pb2.NewMail, original: message_pb2.MailMessage, *, is_forward: bool) -> str:
    """Return a mail's HTML with the original below it, which is sanitized."""
    quoted = original.body.html or text_as_html(original.body.text)
    if is_forward:
        return f"{own_html(mail)}<br><br>{text_as_html(_forward_head(original))}<br>{quoted}"
    return f"{own_html(mail)}<br><br>{text_as_html(_wrote(original))}:<br>{_QUOTE}{quoted}</blockquote>"


def own_html(mail: pb2.NewMail) -> str:
    """Return the caller's own part of a mail as HTML."""
    return mail.html or text_as_html(mail.text)


def text_as_html(text: str) -> str:
    """Return text as HTML that shows its lines."""
    lines = html.escape(text, quote=False).replace("\r\n", "\n").split("\n")
    return f"<div>{'<br>'.join(lines)}</div>" if text else ""


def inserted(own: str, body: str) -> str:
    """Return HTML that a provider prepared, with the caller's own at the beginning of its body.

    Args:
        own: The caller's own part.
        body: The provider's HTML, which quotes a stranger: a body tag in a comment, a style or a title is none.
    """
    at = _body_start(body)
    return f"{body[:at]}{own}{body[at:]}"


def _body_start(body: str) -> int:
    """Return the place behind the body's tag, in one pass; the beginning when there is no such tag."""
    position = 0
    while found := _TAG.search(body, position):
        name = (found[1] or "").lower()
        closing = ">" if name == "body" else "-->" if not name else f"</{name}"
        ending = re.compile(re.escape(closing), re.IGNORECASE).search(body, found.end())
        if ending is None:
            return 0
        position = ending.end()
        if name == "body":
            return position
    return 0


def _wrote(original: message_pb2.MailMessage) -> str:
    return f"On {_date(original)}, {_person(original.from_address)} wrote"


def _forward_head(original: message_pb2.MailMessage) -> str:
    lines = [
        "---------- Forwarded message ---------",
        f"From: {_person(original.from_address)}",
        f"Date: {_date(original)}",
        f"Subject: {original.subject}",
        f"To: {', '.join(map(_person, original.to))}",
    ]
    return "\n".join(lines)


def _date(original: message_pb2.MailMessage) -> str:
    moment = original.sent_at if original.HasField("sent_at") else original.mail_received_at
    return moment.ToDatetime(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _person(one: message_pb2.Address) -> str:
    return f"{one.name} <{one.address}>" if one.name else one.address
