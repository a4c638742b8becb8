"""Google's batch endpoint: calls as parts of a multipart body."""

import asyncio
import email.parser
import email.policy
import http
import re
from collections.abc import Awaitable, Callable
from email.message import Message
from urllib.parse import parse_qsl, urlsplit

from simulator.edge import Outcome
from simulator.google.errors import api_error
from simulator.http import Call, Operations, Reply

_MAX_PARTS = 100
_AT_ONCE = 10
_BOUNDARY = "batch_mailmesh_simulator"


class Batch:
    """Takes a multipart batch apart and puts the answers together."""

    def __init__(self, serve: Callable[[Call], Awaitable[Outcome]]) -> None:
        self._serve = serve

    def register(self, operations: Operations) -> None:
        """Add the endpoint under both its addresses."""
        for path in ("/batch", "/batch/gmail/v1"):
            operations.add("gmail.batch", "POST", path, self.batch, is_api=False)

    async def batch(self, call: Call) -> Reply:
        """Run the parts; each counts against the quota like a single call."""
        parts = _parts(call)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(part: Message) -> bytes:
            async with gate:
                outcome = await self._serve(_inner(part, call))
            return _shown(part, outcome.reply)

        answers = await asyncio.gather(*(one(part) for part in parts))
        body = (
            b"".join(b"--" + _BOUNDARY.encode() + b"\r\n" + answer for answer in answers)
            + b"--"
            + _BOUNDARY.encode()
            + b"--\r\n"
        )
        return Reply(200, body, {"content-type": f"multipart/mixed; boundary={_BOUNDARY}"})


def _parts(call: Call) -> list[Message]:
    head = f"content-type: {call.headers.get('content-type', '')}\r\n\r\n".encode()
    whole = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(head + call.body)
    payload = whole.get_payload()
    if not whole.is_multipart() or not isinstance(payload, list):
        raise api_error(400, "badRequest", "Failed to parse batch request, error: no parts.")
    if len(payload) > _MAX_PARTS:
        raise api_error(400, "badRequest", f"The batch request could not be processed: more than {_MAX_PARTS} calls.")
    return [part for part in payload if isinstance(part, Message)]


def _inner(part: Message, outer: Call) -> Call:
    raw = part.get_payload(decode=True)
    head, _, body = re.split(rb"(\r?\n\r?\n)", (raw if isinstance(raw, bytes) else b"") + b"\r\n\r\n", maxsplit=1)
    lines = head.decode("utf-8", "replace").splitlines() or [""]
    method, _, rest = lines[0].partition(" ")
    target = urlsplit(rest.partition(" ")[0])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    headers.setdefault("authorization", outer.headers.get("authorization", ""))
    return Call(
        method.upper(),
        target.path,
        parse_qsl(target.query, keep_blank_values=True),
        headers,
        body.strip(),
        inside_batch=True,
    )


def _shown(part: Message, reply: Reply) -> bytes:
    content = reply.content()
    name = str(part.get("Content-ID", "")).strip("<>")
    head = [
        "Content-Type: application/http",
        f"Content-ID: <response-{name}>",
        "",
        f"HTTP/1.1 {reply.status} {_phrase(reply.status)}",
        f"Content-Type: {reply.content_type()}",
        *(f"{key.title()}: {value}" for key, value in reply.headers.items()),
        f"Content-Length: {len(content)}",
        "",
        "",
    ]
    return "\r\n".join(head).encode() + content + b"\r\n"


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
