"""Uploads of mail: as it is (media), with metadata (multipart), and in pieces (resumable).

The rules are those of Google's guide to uploads for the Gmail API.
"""

import email.parser
import email.policy
import json
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from urllib.parse import urlencode

from simulator.google.drafts import SCOPES, Drafts
from simulator.google.errors import api_error
from simulator.google.intake import IMPORT_QUERY, QUERY, Intake
from simulator.google.intake import SCOPES as INTAKE
from simulator.google.messages import MESSAGE_FIELDS, SEND
from simulator.google.sending import MAX_BYTES, Sender
from simulator.http import JSON, Call, Operations, Reply, known_fields
from simulator.state import World

Finish = Callable[[Call, bytes, JSON], Reply]
_PREFIXES = ("/upload", "/resumable/upload")
_SESSIONS_MAX = 1000
_STEP = 256 * 1024
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass(slots=True)
class Session:
    """A resumable upload: the bytes received so far, and the metadata for the end."""

    path: str
    metadata: JSON
    content: bytearray = field(default_factory=bytearray)


class Uploads:
    """The upload addresses of messages and drafts."""

    def __init__(self, world: World, sender: Sender, drafts: Drafts, intake: Intake) -> None:
        self._world = world
        self._intake = intake
        self._sender = sender
        self._drafts = drafts
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def register(self, operations: Operations) -> None:
        """Add the addresses to the provider's table, under the names of the operations they end in."""
        user = "/gmail/v1/users/{user}"
        sends, drafts, intake = _threaded(self._sender.send), self._drafts, self._intake
        for prefix in _PREFIXES:
            many = f"{prefix}{user}/messages"
            self._add(operations, "messages.send", "POST", f"{many}/send", sends, SEND, 100)
            self._add(operations, "messages.import", "POST", f"{many}/import", intake.import_, INTAKE, 25, IMPORT_QUERY)
            self._add(operations, "messages.insert", "POST", many, intake.insert, INTAKE, 25, QUERY)
            path = f"{prefix}{user}/drafts"
            self._add(operations, "drafts.create", "POST", path, _threaded(drafts.create), SCOPES, 10)
            self._add(operations, "drafts.update", "PUT", f"{path}/{{draft}}", _threaded(drafts.update), SCOPES, 15)

    def _add(
        self,
        operations: Operations,
        name: str,
        method: str,
        path: str,
        finish: Finish,
        scopes: tuple[str, ...],
        units: int,
        more: tuple[str, ...] = (),
    ) -> None:
        query = ("uploadType", "upload_id", *more)

        def begin(call: Call) -> Reply:
            return self._piece(call, finish) if call.first("upload_id") else self._begin(call, finish)

        operations.add(f"gmail.{name}", method, path, begin, scopes=scopes, units=units, query=query)
        if method != "PUT":
            operations.add(f"gmail.{name}", "PUT", path, begin, scopes=scopes, query=query)

    def _begin(self, call: Call, finish: Finish) -> Reply:
        kind = call.first("uploadType")
        if kind == "media":
            return finish(call, call.body, {})
        if kind == "multipart":
            metadata, content = _related(call)
            return finish(call, content, _message(metadata))
        if kind != "resumable":
            raise api_error(400, "badRequest", f"Invalid uploadType: {kind}")
        name = secrets.token_urlsafe(24)
        self._sessions[name] = Session(call.path, _message(call.json_object()))
        while len(self._sessions) > _SESSIONS_MAX:
            self._sessions.popitem(last=False)
        kept = urlencode([pair for pair in call.query if pair[0] not in {"uploadType", "upload_id"}])
        where = f"{self._world.google_url}{call.path}?uploadType=resumable&upload_id={name}{'&' if kept else ''}{kept}"
        return Reply(200, b"", {"location": where, "x-guploader-uploadid": name})

    def _piece(self, call: Call, finish: Finish) -> Reply:
        """Take one piece; the last one ends the upload, and an empty range asks for the number of received bytes."""
        session = self._sessions.get(call.first("upload_id"))
        if session is None or session.path != call.path:
            raise api_error(404, "notFound", "The upload session does not exist.")
        total = self._append(session, call)
        if total is None or len(session.content) < total:
            return _more(session)
        del self._sessions[call.first("upload_id")]
        return finish(call, bytes(session.content), session.metadata)

    def _append(self, session: Session, call: Call) -> int | None:
        """Add the body to the received bytes and return the whole length, None while it is unknown."""
        given = call.headers.get("content-range", "")
        match = _RANGE.fullmatch(given)
        if given and match is None:
            raise api_error(400, "badRequest", "Failed to parse Content-Range header.")
        if match is None:
            session.content[:] = call.body
            return len(call.body)
        total = None if match[3] == "*" else int(match[3])
        if match[1] is None:
            return total
        first, last = int(match[1]), int(match[2])
        is_end = total is not None and last + 1 == total
        if (
            first != len(session.content)
            or last - first + 1 != len(call.body)
            or (len(call.body) % _STEP and not is_end)
        ):
            raise api_error(
                400, "badRequest", "The piece does not follow the one before, or is no multiple of 256 KiB."
            )
        if last >= MAX_BYTES:
            raise api_error(413, "uploadTooLarge", "The upload is larger than the limit.")
        session.content += call.body
        return total


def _more(session: Session) -> Reply:
    headers = {"range": f"bytes=0-{len(session.content) - 1}"} if session.content else {}
    return Reply(308, b"", headers)


def _message(metadata: JSON) -> JSON:
    """Return the message in an upload's metadata, which for drafts is a field of it."""
    message = metadata.get("message", metadata) or {}
    known_fields({key: value for key, value in metadata.items() if key != "message"}, MESSAGE_FIELDS, where="metadata")
    return known_fields(message, MESSAGE_FIELDS, where="metadata")


def _threaded(finish: Callable[[Call, bytes, str], Reply]) -> Finish:
    return lambda call, raw, metadata: finish(call, raw, str(metadata.get("threadId") or ""))


def _related(call: Call) -> tuple[JSON, bytes]:
    """Return the metadata and the mail of a multipart/related body.

    Raises:
        ApiError: 400, the body has not these two parts.
    """
    kind = call.headers.get("content-type", "")
    boundary = Message()
    boundary["content-type"] = kind
    mark = boundary.get_boundary("")
    pieces = call.body.split(f"--{mark}".encode()) if mark and kind.lower().startswith("multipart/related") else []
    parts = [_part(piece) for piece in pieces[1:-1]]
    if len(parts) != 2:
        raise api_error(400, "badRequest", "Failed to parse multipart/related body: it needs two parts.")
    metadata = json.loads(parts[0] or b"{}")
    return (metadata if isinstance(metadata, dict) else {}), parts[1]


def _part(piece: bytes) -> bytes:
    """Return a part's content, decoded only where its own header names an encoding."""
    piece = piece.removeprefix(b"\r\n").removeprefix(b"\n")
    blank = _BLANK_LINE.search(piece)
    if blank is None:
        return b""
    head, content = piece[: blank.start()], piece[blank.end() :]
    content = content.removesuffix(b"\n").removesuffix(b"\r")
    headers = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(head)
    if str(headers.get("Content-Transfer-Encoding", "")).lower() == "base64":
        whole = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(head + b"\n\n" + content)
        decoded = whole.get_payload(decode=True)
        return decoded if isinstance(decoded, bytes) else b""
    return content
