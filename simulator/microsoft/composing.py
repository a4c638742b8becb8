"""Fields of new mail that are made from mail that is there: drafts given as MIME, replies, forwards."""

import base64
import html
import re
from email.utils import formataddr
from typing import Any

from simulator.accounts import Account
from simulator.eml import MailSource, addresses, parsed
from simulator.mailboxes.graph_mail import GraphMail
from simulator.microsoft.render import rendered, stamp

Fields = dict[str, Any]
_KEPT = re.compile(r"x-.*|importance|list-.*", re.IGNORECASE)
_BODY = re.compile(r"<body[^>]*>(.*)</body>", re.DOTALL | re.IGNORECASE)
_PEOPLE = (("from", "From"), ("to", "To"), ("cc", "Cc"), ("bcc", "Bcc"), ("replyTo", "Reply-To"))


def fields_of_mail(source: MailSource) -> Fields:
    """Return a mail as the fields that :func:`simulator.eml.compose` takes."""
    root, shown = parsed(source), rendered(source)
    people = {key: _people(source, name) for key, name in _PEOPLE}
    return {
        **{key: value for key, value in people.items() if value},
        "subject": source.subject,
        "messageId": source.message_id,
        "inReplyTo": root.header("In-Reply-To"),
        "references": root.header("References"),
        "headers": {name: value for name, value in root.headers if _KEPT.fullmatch(name)},
        shown.body_type: shown.body,
        "attachments": files_of(source),
    }


def files_of(source: MailSource) -> list[Fields]:
    """Return the attachments of a mail as the fields of new ones."""
    return [
        {
            "name": one.part.filename or f"ATT{one.index:05}",
            "contentType": one.part.content_type,
            "base64": base64.b64encode(one.part.content).decode(),
            "isInline": one.is_inline,
            "contentId": one.part.content_id,
        }
        for one in rendered(source).attachments
    ]


def reply_to(mail: GraphMail, account: Account, comment: str, *, is_to_all: bool) -> Fields:
    """Return the fields of a reply: to Reply-To before From, with the original quoted below the comment.

    A reply to a draft has no references, so that it joins no conversation, as at Graph.
    """
    source, own = mail.source, {account.address.lower(), account.principal.lower()}
    to = _people(source, "Reply-To") or _people(source, "From")
    fields: Fields = {"to": to, "subject": _marked("RE: ", source.subject), "html": _quoted(mail, comment)}
    if is_to_all:
        fields["to"] = _once([*to, *_people(source, "To")], own)
        fields["cc"] = _once(_people(source, "Cc"), own | {_address(one) for one in fields["to"]})
    return fields | ({} if mail.is_draft else _thread(source))


def forward(mail: GraphMail, comment: str, *, files_max: int | None) -> Fields:
    """Return the fields of a forwarded mail, with so many of its attachments; None is all."""
    subject = _marked("FW: ", mail.source.subject)
    files = files_of(mail.source)[:files_max]
    fields: Fields = {"subject": subject, "html": _quoted(mail, comment), "attachments": files}
    return fields | ({} if mail.is_draft else _thread(mail.source))


def _thread(source: MailSource) -> Fields:
    """Return the references of an answer: those of the original, and then its own id (RFC 5322 section 3.6.4)."""
    if not source.message_id:
        return {}
    root = parsed(source)
    before = root.header("References") or root.header("In-Reply-To")
    return {"inReplyTo": source.message_id, "references": f"{before} {source.message_id}".strip()}


def _people(source: MailSource, name: str) -> list[str]:
    return [formataddr((shown, address)) for shown, address in addresses(parsed(source), name)]


def _once(people: list[str], besides: set[str]) -> list[str]:
    """Return people in order, each once, without some addresses."""
    found = {_address(one): one for one in reversed(people) if _address(one) not in besides}
    return list(reversed(found.values()))


def _address(person: str) -> str:
    return person.rpartition("<")[2].rstrip(">").strip().lower()


def _marked(mark: str, subject: str) -> str:
    return subject if subject.lower().startswith(mark.lower()) else f"{mark}{subject}"


def _quoted(mail: GraphMail, comment: str) -> str:
    """Return the body of an answer in HTML."""
    shown, source = rendered(mail.source), mail.source
    body = shown.body if shown.body_type == "html" else f"<div>{html.escape(shown.body)}</div>"
    inner = _BODY.search(body)
    lines = [
        ("From", ", ".join(_people(source, "From"))),
        ("Sent", stamp(mail.received_ms)),
        ("To", ", ".join(_people(source, "To"))),
        ("Subject", source.subject),
    ]
    head = "<br>".join(f"<b>{name}:</b> {html.escape(value)}" for name, value in lines)
    own = f"<div>{html.escape(comment)}</div>" if comment else ""
    return (
        f'<html><head></head><body>{own}<hr><div id="divRplyFwdMsg">{head}</div>'
        f"<div>{inner[1] if inner else body}</div></body></html>"
    )
