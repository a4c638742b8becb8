"""Upload sessions: files of 3 to 150 MB for drafts, in pieces (Graph's guide to large attachments)."""

import base64
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from simulator.http import JSON, Call, Operations, Reply, known_fields
from simulator.mailboxes.graph import GraphMailbox
from simulator.mailboxes.graph_mail import GraphMail
from simulator.microsoft.attachments import Attachments
from simulator.microsoft.errors import graph_error
from simulator.microsoft.graph import USER, WRITE, mailbox_of
from simulator.microsoft.items import mail_of
from simulator.state import World

_PATH = "/outlook/attachmentSessions/{session}"
_ITEM = ("attachmentType", "name", "size", "contentType", "isInline", "contentId")
_MIN_BYTES = 3 * 1024 * 1024
_MAX_BYTES = 150 * 1024 * 1024
_PIECE_BYTES = 4 * 1024 * 1024
_SESSIONS_MAX = 100
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(slots=True)
class Session:
    """One upload: where it goes, and the bytes received so far."""

    mailbox: GraphMailbox
    mail: GraphMail
    item: JSON
    expires_at: float
    content: bytearray = field(default_factory=bytearray)

    def shown(self, spelling: str) -> JSON:
        """Return the session as Graph shows it after each piece."""
        received = len(self.content)
        expected = f"{received}-{self.item['size'] - 1}" if spelling == "span" else str(received)
        moment = datetime.fromtimestamp(self.expires_at, UTC)
        return {
            "expirationDateTime": moment.strftime("%Y-%m-%dT%H:%M:%S.0000000Z"),
            "nextExpectedRanges": [expected],
        }


class UploadSessions:
    """Begins uploads at Graph, and takes their pieces at another host, where the URL is the only secret."""

    def __init__(self, world: World, attachments: Attachments) -> None:
        self._world = world
        self._attachments = attachments
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def register(self, operations: Operations) -> None:
        """Add the operations to the provider's table."""
        path = f"{USER}/messages/{{id}}/attachments/createUploadSession"
        operations.add("graph.attachments.create_upload_session", "POST", path, self.begin, scopes=WRITE)
        operations.add("graph.upload.put", "PUT", _PATH, self.put, is_api=False)
        operations.add("graph.upload.get", "GET", _PATH, self.get, is_api=False)
        operations.add("graph.upload.cancel", "DELETE", _PATH, self.cancel, is_api=False)

    def begin(self, call: Call) -> Reply:
        """Begin an upload to a draft."""
        mail, item = mail_of(call), call.fields(("AttachmentItem",), in_any_case=True).get("AttachmentItem")
        item = known_fields(item if isinstance(item, dict) else {}, _ITEM, where="AttachmentItem")
        _check(mail, item)
        expires_at = self._world.clock.seconds() + self._world.knobs.upload_session_seconds
        name = secrets.token_urlsafe(24)
        session = self._sessions[name] = Session(mailbox_of(call), mail, item, expires_at)
        while len(self._sessions) > _SESSIONS_MAX:
            self._sessions.popitem(last=False)
        port = urlsplit(self._world.microsoft_url).port
        url = f"https://localhost:{port}{_PATH.format(session=name)}?authtoken={secrets.token_urlsafe(24)}"
        return Reply(201, {"uploadUrl": url, **self._shown(session), "nextExpectedRanges": ["0-"]})

    def put(self, call: Call) -> Reply:
        """Take one piece; the last one makes the attachment, whose id is at the end of Location."""
        session = self._find(call)
        match = _RANGE.fullmatch(call.headers.get("content-range", ""))
        if match is None:
            raise graph_error(400, "ErrorInvalidRequest", "The Content-Range header is missing or malformed.")
        first, last, total = int(match[1]), int(match[2]), int(match[3])
        if len(call.body) >= _PIECE_BYTES:
            raise graph_error(413, "RequestEntityTooLarge", "A piece must be smaller than 4 MB.")
        if first != len(session.content) or last - first + 1 != len(call.body) or total != session.item["size"]:
            raise graph_error(416, "InvalidRange", f"The next range begins at {len(session.content)}.")
        session.content += call.body
        if len(session.content) < total:
            return Reply(200, self._shown(session))
        del self._sessions[call.params["session"]]
        return self._finish(session)

    def get(self, call: Call) -> Reply:
        """Return how far an upload has come."""
        return Reply(200, self._shown(self._find(call)))

    def cancel(self, call: Call) -> Reply:
        """End an upload without an attachment."""
        self._find(call)
        del self._sessions[call.params["session"]]
        return Reply(204)

    def _shown(self, session: Session) -> JSON:
        return session.shown(self._world.knobs.upload_ranges)

    def _find(self, call: Call) -> Session:
        session = self._sessions.get(call.params["session"])
        if call.headers.get("authorization"):
            raise graph_error(401, "InvalidAuthenticationToken", "An upload URL takes no Authorization header.")
        if session is None or session.expires_at <= self._world.clock.seconds():
            raise graph_error(404, "ErrorItemNotFound", "The upload session was not found.")
        return session

    def _finish(self, session: Session) -> Reply:
        mailbox, mail, item = session.mailbox, session.mail, session.item
        if mail.serial not in mailbox.mails or not mail.is_draft:
            raise graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        attachment: dict[str, Any] = {
            "name": item["name"],
            "contentType": item.get("contentType") or "application/octet-stream",
            "base64": base64.b64encode(session.content).decode(),
            "isInline": bool(item.get("isInline")),
            "contentId": item.get("contentId"),
        }
        shown = self._attachments.add(mailbox, mail, attachment)
        own = f"Users('{mailbox.address}')/Messages('{mailbox.truth(mail)['defaultId']}')"
        return Reply(201, b"", {"location": f"{self._world.microsoft_url}/outlook/{own}/Attachments('{shown}')"})


def _check(mail: GraphMail, item: JSON) -> None:
    if not mail.is_draft:
        raise graph_error(400, "ErrorInvalidRequest", "Attachments can be changed on drafts only.")
    if (
        item.get("attachmentType") != "file"
        or not isinstance(item.get("name"), str)
        or type(item.get("size")) is not int
    ):
        raise graph_error(400, "ErrorInvalidRequest", "AttachmentItem needs attachmentType, name and size.")
    if item["size"] < _MIN_BYTES:
        code = "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"
        raise graph_error(400, code, "The attachment size should not be less than the minimum size.")
    if item["size"] > _MAX_BYTES:
        raise graph_error(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")
