"""The new text of a mail, made from its spans when the mail is read: stored, it would be in the store twice."""

from mailmesh.mail.v1 import message_pb2

_BETWEEN = "\n\n"


def reply_text(body: message_pb2.Body) -> str:
    """Return the new text of a body: its reply spans without white space around them, an empty line between two."""
    text = body.text
    parts = (
        text[span.start : span.end].strip() for span in body.spans if span.kind == message_pb2.TEXT_SPAN_KIND_REPLY
    )
    return _BETWEEN.join(part for part in parts if part)


def set_reply_text(body: message_pb2.Body) -> None:
    """Set the new text of a body. Safe to call again: yes, with the same result."""
    body.reply_text = reply_text(body)
