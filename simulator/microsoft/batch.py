"""Graph's ``$batch``: up to twenty calls in one, each answered and throttled like a single call."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from simulator.edge import Outcome
from simulator.http import JSON, Call, Operations, Reply
from simulator.microsoft.errors import graph_error, graph_reply
from simulator.microsoft.graph import BASE

_MAX_REQUESTS = 20
_AT_ONCE = 4


class Batch:
    """Takes a batch apart and puts the answers together."""

    def __init__(self, serve: Callable[[Call], Awaitable[Outcome]]) -> None:
        self._serve = serve

    def register(self, operations: Operations) -> None:
        """Add the operation to the provider's table."""
        operations.add("graph.batch", "POST", f"{BASE}/$batch", self.batch)

    async def batch(self, call: Call) -> Reply:
        """Run the requests, four at a time, each after the requests that it depends on."""
        requests = _requests(call)
        gate = asyncio.Semaphore(_AT_ONCE)
        done: dict[str, asyncio.Future[int]] = {
            str(request["id"]): asyncio.get_running_loop().create_future() for request in requests
        }

        async def one(request: dict[str, Any]) -> JSON:
            reply = await self._after(request, done, gate, call)
            done[str(request["id"])].set_result(reply.status)
            return _shown(str(request["id"]), reply)

        return Reply(200, {"responses": list(await asyncio.gather(*(one(request) for request in requests)))})

    async def _after(
        self, request: dict[str, Any], done: dict[str, "asyncio.Future[int]"], gate: asyncio.Semaphore, call: Call
    ) -> Reply:
        before = [
            done[str(name)]
            for name in request.get("dependsOn", [])
            if str(name) in done and str(name) != str(request["id"])
        ]
        if any(status >= 400 for status in await asyncio.gather(*before)):
            return graph_reply(424, "FailedDependency", "A request it depends on failed.")
        async with gate:
            return (await self._serve(_inner(request, call))).reply


def _requests(call: Call) -> list[dict[str, Any]]:
    try:
        requests = call.json_object().get("requests")
    except ValueError as error:
        raise graph_error(400, "BadRequest", "The batch is not JSON.") from error
    if not isinstance(requests, list) or not requests:
        raise graph_error(400, "BadRequest", "Invalid batch payload format.")
    if len(requests) > _MAX_REQUESTS:
        raise graph_error(
            400, "MaximumValueExceeded", f"Number of batch request steps exceeds the maximum value of {_MAX_REQUESTS}."
        )
    names = [str(request.get("id", "")) for request in requests]
    if (
        len(set(names)) != len(names)
        or "" in names
        or not all(request.get("url") and request.get("method") for request in requests)
    ):
        raise graph_error(400, "BadRequest", "Every request needs a unique id, a method and a url.")
    _check_order(requests)
    return requests


def _check_order(requests: list[dict[str, Any]]) -> None:
    """Refuse circles: a request may only depend on one that stands before it."""
    seen: set[str] = set()
    for request in requests:
        if any(str(name) not in seen for name in request.get("dependsOn", [])):
            raise graph_error(400, "BadRequest", "dependsOn must name an earlier request.")
        seen.add(str(request["id"]))


def _inner(request: dict[str, Any], outer: Call) -> Call:
    path, _, query = str(request["url"]).partition("?")
    headers = {str(name).lower(): str(value) for name, value in (request.get("headers") or {}).items()}
    headers.setdefault("authorization", outer.headers.get("authorization", ""))
    body = request.get("body")
    content = b"" if body is None else json.dumps(body).encode()
    pairs = parse_qsl(query, keep_blank_values=True)
    return Call(
        str(request["method"]).upper(), f"{BASE}/{path.lstrip('/')}", pairs, headers, content, inside_batch=True
    )


def _shown(name: str, reply: Reply) -> JSON:
    headers = {key.title(): value for key, value in reply.headers.items()}
    answer: JSON = {"id": name, "status": reply.status, "headers": {"Content-Type": "application/json", **headers}}
    if isinstance(reply.body, dict):
        answer["body"] = reply.body
    elif reply.body:
        answer["body"] = base64.b64encode(reply.content()).decode()
    return answer
