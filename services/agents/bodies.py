"""The form of a request's body, checked before the SDK: its own refusals repeat the input and name its libraries."""

from http import HTTPStatus
from typing import Final

import pydantic_core
from mcp_types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter
from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOT_JSON: Final = "The body is not JSON."
NOT_A_MESSAGE: Final = (
    "The body is not one message of JSON-RPC 2.0: an object with `jsonrpc`, `method` and, unless it is a notification,"
    " `id`."
)
TOO_LARGE: Final = "The body is larger than {bytes} bytes."


class CheckedBodies:
    """An ASGI application that refuses bodies that are no JSON-RPC message, in words of our own.

    Args:
        served: The application behind it.
        path: The path whose bodies are checked.
        most_bytes: The largest body.
    """

    def __init__(self, served: ASGIApp, path: str, most_bytes: int) -> None:
        self._served, self._path, self._most_bytes = served, path, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != self._path:
            await self._served(scope, receive, send)
            return
        try:
            body = await self._read(Request(scope, receive))
        except ClientDisconnect:
            return
        refusal = self._refusal(body)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._served(scope, _replayed(body, receive), send)

    async def _read(self, request: Request) -> bytes:
        """Read the body, up to one byte more than it may have."""
        body = bytearray()
        async for part in request.stream():
            body += part[: self._most_bytes + 1 - len(body)]
        return bytes(body)

    def _refusal(self, body: bytes) -> Response | None:
        if len(body) > self._most_bytes:
            text = TOO_LARGE.format(bytes=self._most_bytes)
            return _refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, INVALID_REQUEST, text)
        try:
            jsonrpc_message_adapter.validate_python(pydantic_core.from_json(body), by_name=False)
        except ValidationError:
            return _refused(HTTPStatus.BAD_REQUEST, INVALID_REQUEST, NOT_A_MESSAGE)
        except ValueError:
            return _refused(HTTPStatus.BAD_REQUEST, PARSE_ERROR, NOT_JSON)
        return None


def _refused(status: HTTPStatus, code: int, text: str) -> Response:
    """Return an error of JSON-RPC without an id, which cannot be known (JSON-RPC 2.0, section 5)."""
    error = JSONRPCError(jsonrpc="2.0", id=None, error=ErrorData(code=code, message=text))
    content = error.model_dump_json(by_alias=True, exclude_unset=True)
    return Response(content, status_code=status, media_type="application/json")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives the body that was read, then what the connection says."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay
