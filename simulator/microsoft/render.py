"""A mail as Graph shows it."""

import base64
import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

from simulator.eml import ITEM_HEADER, MailSource, Part, addresses, date_ms, parsed
from simulator.http import JSON
from simulator.mailboxes.graph import GraphMailbox
from simulator.mailboxes.graph_mail import GraphMail
from simulator.microsoft.meetings import REQUEST_TYPE, meeting_of

_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)


def stamp(milliseconds: int) -> str:
    """Return a time as Graph writes those of messages."""
    try:
        return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "1970-01-01T00:00:00Z"


def text_of(markup: str) -> str:
    """Return the text in HTML."""
    return html.unescape(_TAGS.sub(" ", markup))


@dataclass(frozen=True, slots=True)
class Attachment:
    """One attachment and its place in the mail."""

    index: int
    part: Part

    @property
    def is_inline(self) -> bool:
        """Whether it belongs into the HTML body."""
        return self.part.disposition == "inline" or (
            bool(self.part.content_id) and self.part.disposition != "attachment"
        )


@dataclass(frozen=True, slots=True)
class Rendered:
    """The facts that follow from a mail's bytes alone."""

    facts: JSON
    body_type: str
    body: str
    attachments: tuple[Attachment, ...]


@lru_cache(maxsize=16384)
def rendered(source: MailSource) -> Rendered:
    """Return the unchanging half of a message."""
    root = parsed(source)
    body_type, body = _body(root)
    attachments = tuple(Attachment(index, part) for index, part in enumerate(_attachments(root, body)))
    preview = " ".join((text_of(body) if body_type == "html" else body).split())[:255]
    people: JSON = {key: _people(root, name) for key, name in _PEOPLE.items()}
    author = people["from"][0] if people["from"] else None
    sender = _people(root, "Sender")
    facts = {
        "subject": source.subject,
        "bodyPreview": preview,
        "internetMessageId": source.message_id or None,
        "hasAttachments": any(not attachment.is_inline for attachment in attachments),
        "sender": sender[0] if sender else author,
        **people,
        "from": author,
        "internetMessageHeaders": [{"name": name, "value": value} for name, value in root.headers],
        "sentMs": date_ms(root),
    }
    return Rendered(facts, body_type, body, attachments)


_PEOPLE = {"from": "From", "toRecipients": "To", "ccRecipients": "Cc", "bccRecipients": "Bcc", "replyTo": "Reply-To"}


def _people(root: Part, name: str) -> list[JSON]:
    return [
        {"emailAddress": {"name": shown or address, "address": address}} for shown, address in addresses(root, name)
    ]


def _body(root: Part) -> tuple[str, str]:
    texts = [
        part for part in root.walk() if part.content_type in {"text/plain", "text/html"} and not part.is_attachment()
    ]
    for kind, subtype in (("html", "text/html"), ("text", "text/plain")):
        for part in texts:
            if part.content_type == subtype:
                return kind, part.text()
    return "text", ""


def _attachments(root: Part, body: str) -> list[Part]:
    parts = [part for part in root.walk() if part.is_attachment()]
    return parts if root not in parts or body == "" else [part for part in parts if part is not root]


class View:
    """Shows messages of one mailbox in the form that one request asks for."""

    def __init__(
        self, mailbox: GraphMailbox, *, is_immutable: bool, body_type: str = "", select: tuple[str, ...] = ()
    ) -> None:
        self._mailbox = mailbox
        self._is_immutable = is_immutable
        self._body_type = body_type
        self._select = frozenset(select)

    def message(self, mail: GraphMail, *, expand: "Callable[[GraphMail], JSON] | None" = None) -> JSON:
        """Return a message; ``expand`` gives the related resources that are shown with it."""
        whole = self._whole(mail)
        shown: JSON = {"@odata.etag": self._mailbox.etag(mail), "id": self.id(mail)}
        if meeting_of(mail.source):
            shown = {"@odata.type": REQUEST_TYPE, **shown}
        names = (self._select - {"id"}) if self._select else _DEFAULT
        shown |= {name: whole[name]() for name in whole if name in names}
        return {**shown, **expand(mail)} if expand else shown

    def id(self, mail: GraphMail) -> str:
        """Return a mail's id in the kind that the request asks for."""
        return self.id_at(mail.serial, mail.moves)

    def id_at(self, serial: int, moves: int) -> str:
        """Return a mail's id after a number of moves, in the kind that the request asks for."""
        return self._mailbox.id_of(serial, moves, is_immutable=self._is_immutable)

    def attachment(self, mail: GraphMail, attachment: Attachment, select: frozenset[str] = frozenset()) -> JSON:
        """Return one attachment with its content, or only the selected fields."""
        part = attachment.part
        is_item = part.content_type == "message/rfc822" or bool(part.header(ITEM_HEADER))
        shown: JSON = {
            "@odata.type": "#microsoft.graph.itemAttachment" if is_item else "#microsoft.graph.fileAttachment",
            "@odata.mediaContentType": part.content_type,
            "id": f"{self.id(mail)[:-1]}-att{attachment.index}=",
            "lastModifiedDateTime": stamp(mail.modified_ms),
            "name": part.filename
            or (part.children[0].header("Subject") if is_item and part.children else f"ATT{attachment.index:05}"),
            "contentType": None if is_item else part.content_type,
            "size": len(part.content) + 140,
            "isInline": attachment.is_inline,
        }
        if not is_item:
            shown |= {"contentId": part.content_id or None, "contentLocation": part.header("Content-Location") or None}
            if not select or "contentBytes" in select:
                shown["contentBytes"] = base64.b64encode(part.content).decode()
        if select:
            shown = {key: value for key, value in shown.items() if key.startswith("@") or key == "id" or key in select}
        return shown

    def _whole(self, mail: GraphMail) -> dict[str, Callable[[], Any]]:
        """All fields; the mail is only taken apart for those of its bytes, since a listing asks for few of many."""
        box = self._mailbox

        def fact(name: str) -> Any:
            return rendered(mail.source).facts[name]

        return {
            "createdDateTime": lambda: stamp(mail.received_ms),
            "lastModifiedDateTime": lambda: stamp(mail.modified_ms),
            "changeKey": lambda: box.change_key(mail),
            "categories": lambda: list(mail.categories),
            "receivedDateTime": lambda: stamp(mail.received_ms),
            "sentDateTime": lambda: stamp(mail.received_ms if fact("sentMs") is None else fact("sentMs")),
            "hasAttachments": lambda: fact("hasAttachments"),
            "internetMessageId": lambda: fact("internetMessageId"),
            "subject": lambda: fact("subject"),
            "bodyPreview": lambda: fact("bodyPreview"),
            "importance": lambda: mail.importance,
            "parentFolderId": lambda: mail.folder,
            "conversationId": lambda: box.conversation_id(mail),
            "conversationIndex": lambda: base64.b64encode(
                b"\x01\x01" + box.token + mail.thread.to_bytes(6, "big")
            ).decode(),
            "isDeliveryReceiptRequested": lambda: None,
            "isReadReceiptRequested": lambda: False,
            "isRead": lambda: mail.is_read,
            "isDraft": lambda: mail.is_draft,
            "webLink": lambda: (
                f"https://outlook.office365.com/owa/?ItemID={self.id(mail)}&exvsurl=1&viewmodel=ReadMessageItem"
            ),
            "inferenceClassification": lambda: mail.classification,
            "body": lambda: self._body(rendered(mail.source)),
            "uniqueBody": lambda: self._body(rendered(mail.source)),
            **{name: partial(fact, name) for name in ("sender", *_PEOPLE)},
            "flag": lambda: {"flagStatus": mail.flag_status},
            "internetMessageHeaders": lambda: self._headers(mail, fact("internetMessageHeaders")),
        }

    def _headers(self, mail: GraphMail, headers: list[JSON]) -> list[JSON]:
        """Return the headers of received mail; of one's own drafts and sent mail only those that begin with x-."""
        is_own = mail.is_draft or mail.folder == self._mailbox.folder("sentitems").id
        return [one for one in headers if one["name"].lower().startswith("x-")] if is_own else headers

    def _body(self, same: Rendered) -> JSON:
        wanted = self._body_type or same.body_type
        if wanted == same.body_type:
            content = same.body
        elif wanted == "text":
            content = text_of(same.body)
        else:
            content = f"<html><head></head><body><div>{html.escape(same.body)}</div></body></html>"
        return {"contentType": wanted, "content": content}


_DEFAULT = frozenset(
    [
        "createdDateTime",
        "lastModifiedDateTime",
        "changeKey",
        "categories",
        "receivedDateTime",
        "sentDateTime",
        "hasAttachments",
        "internetMessageId",
        "subject",
        "bodyPreview",
        "importance",
        "parentFolderId",
        "conversationId",
        "conversationIndex",
        "isDeliveryReceiptRequested",
        "isReadReceiptRequested",
        "isRead",
        "isDraft",
        "webLink",
        "inferenceClassification",
        "body",
        "sender",
        "from",
        "toRecipients",
        "ccRecipients",
        "bccRecipients",
        "replyTo",
        "flag",
    ]
)
PROPERTIES = _DEFAULT | {"id", "uniqueBody", "internetMessageHeaders"}
ATTACHMENT_PROPERTIES = frozenset(
    (
        *("id", "lastModifiedDateTime", "name", "contentType", "size", "isInline"),
        *("contentId", "contentLocation", "contentBytes"),
    )
)
