"""The ASGI side of a provider: reads a call, applies faults, runs the operation, logs, answers."""

import asyncio
import gzip
import logging
import time
from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from inspect import isawaitable
from typing import Any, Protocol
from urllib.parse import parse_qsl

from simulator.accounts import Provider
from simulator.faults import Fault, Where
from simulator.http import JSON, ApiError, Call, NotSimulatedError, Operation, Operations, Reply
from simulator.links import Links, is_stored
from simulator.state import World

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Any]
Send = Callable[[MutableMapping[str, Any]], Any]

TRANSPORT = "simulator.transport"  # where the server leaves the connection, for faults that cut it
_MAX_BODY_BYTES = 64 * 1024 * 1024
_WORTH_PACKING_BYTES = 1024
_ITEMS = ("value", "messages", "history", "threads")
_WIRE_FAULTS = frozenset({"truncate", "hang", "close", "garbage"})


class Rules(Protocol):
    """A provider's own part in serving a call."""

    def normalize(self, path: str) -> str:
        """Return the path in the spelling of the operations' table."""
        ...

    def identify(self, operation: Operation, call: Call) -> None:
        """Find out whose call it is; an API call without a good token raises :class:`ApiError`."""
        ...

    def slot(self, operation: Operation, call: Call) -> AbstractContextManager[None]:
        """Account for the call while it runs; throttling raises :class:`ApiError`."""
        ...

    def failure(
        self, operation: str, status: int, code: str = "", *, message: str = "", retry_after: int | None = None
    ) -> Reply:
        """Return an error in the provider's manner."""
        ...

    def finish(self, call: Call, reply: Reply) -> Reply:
        """Give an answer the form that the query asks for; what cannot be given raises :class:`ApiError`."""
        ...


@dataclass(slots=True)
class Outcome:
    """An answer, and the fault that spoils it on the wire."""

    reply: Reply
    wire_fault: Fault | None = None


class Edge:
    """One provider as an ASGI application."""

    def __init__(self, world: World, provider: Provider, operations: Operations, rules: Rules) -> None:
        self._world = world
        self._provider = provider
        self._operations = operations
        self._rules = rules
        self._links = Links()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        call = _call(scope, await _body(receive))
        try:
            outcome = await self.serve(call)
        except Exception:
            # An exception here is a defect of the simulator, which must be visible.
            logger.exception("%s %s failed", call.method, call.path)
            outcome = Outcome(self._rules.failure("unknown", 500))
        fault = outcome.wire_fault
        if fault is None:
            await _send(send, *_packed(outcome.reply, takes_gzip=self._takes_gzip(call)))
        else:
            await _mangle(fault, outcome.reply, scope, receive, send)

    async def serve(self, call: Call) -> Outcome:
        """Run one call, log it, and return the answer; batches call this for each of their parts."""
        started = time.perf_counter()
        self._world.later.run_due()
        call.path = self._rules.normalize(call.path)
        found = self._operations.find(call.method, call.path)
        if found is None:
            outcome, name, struck = Outcome(self._unknown(call)), "unknown", ""
        else:
            operation, call.params = found
            name = operation.name
            outcome, struck = await self._run(operation, call)
        self._world.calls.add(
            at=self._world.clock.seconds(),
            provider=self._provider,
            method=call.method,
            path=call.path,
            endpoint=name,
            account=call.account.address if call.account else "",
            status=outcome.reply.status,
            milliseconds=round((time.perf_counter() - started) * 1000, 3),
            fault=struck,
            inside_batch=call.inside_batch,
        )
        return outcome

    def _takes_gzip(self, call: Call) -> bool:
        """Google packs only for clients that name gzip in their User-Agent too (Gmail API guide, performance)."""
        names = ("accept-encoding", "user-agent") if self._provider == "googlews" else ("accept-encoding",)
        return all("gzip" in call.headers.get(name, "").lower() for name in names)

    def _unknown(self, call: Call) -> Reply:
        message = str(NotSimulatedError(f"the operation {call.method} {call.path}"))
        return self._rules.failure("unknown", 501, message=message)

    async def _run(self, operation: Operation, call: Call) -> tuple[Outcome, str]:
        refusal: ApiError | None = None
        try:
            self._rules.identify(operation, call)
        except ApiError as error:
            refusal = error
        where = self._where(call)
        faults = self._world.faults.strike(operation.name, call.account.address if call.account else "", where)
        struck = ",".join(fault.kind for fault in faults)
        try:
            if refusal:
                raise refusal
            with self._rules.slot(operation, call):
                reply = await self._attempt(operation, call, faults)
        except ApiError as error:
            reply = error.reply
        except NotSimulatedError as error:
            logger.warning("%s %s: %s", call.method, call.path, error)
            reply = self._rules.failure(operation.name, 501, message=str(error))
        except (ValueError, KeyError, TypeError) as error:
            # The body does not fit the operation.
            logger.warning("%s %s: %r", call.method, call.path, error)
            reply = self._rules.failure(operation.name, 400)
        wire = next((fault for fault in faults if fault.kind in _WIRE_FAULTS), None)
        if wire and call.inside_batch:
            return Outcome(self._rules.failure(operation.name, 503)), struck
        return Outcome(reply, wire), struck

    def _where(self, call: Call) -> Where:
        query = "&".join(f"{name}={value}" for name, value in call.query)
        message, folder = call.params.get("id", ""), call.params.get("folder", "")
        return Where(message, folder, self._links.page(call), is_stored(call), query)

    async def _attempt(self, operation: Operation, call: Call, faults: list[Fault]) -> Reply:
        # A batch takes as long as its parts.
        if self._world.knobs.latency_seconds and not operation.name.endswith(".batch"):
            await asyncio.sleep(self._world.knobs.latency_seconds)
        if spoiled := await self._strike(operation, faults, "before"):
            return spoiled
        operation.check_query(call)
        reply = operation.handler(call)
        done = self._rules.finish(call, await reply if isawaitable(reply) else reply)
        self._links.learn(call, done)
        return await self._strike(operation, faults, "after") or _thinned(faults, done)

    def _text(self, fault: Fault) -> str:
        """Return a fault's message with the time at which to retry, as Google's errors have it."""
        moment = self._world.clock.now() + timedelta(seconds=fault.retry_after or 0)
        return fault.text.replace("{retry_at}", moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z")

    async def _strike(self, operation: Operation, faults: list[Fault], phase: str) -> Reply | None:
        """Apply the faults of a phase; a hang before the call means that it never takes effect."""
        for fault in faults:
            if fault.phase != phase:
                continue
            if fault.kind == "latency":
                await asyncio.sleep(fault.seconds)
            elif fault.kind == "status" and fault.status < 400:
                # An answer that says that all is well, whatever is true.
                return Reply(
                    fault.status, b"", {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
                )
            elif fault.kind in {"status", "invalid_grant"}:
                status = 400 if fault.kind == "invalid_grant" else fault.status
                code = fault.code or ("invalid_grant" if fault.kind == "invalid_grant" else "")
                return self._rules.failure(
                    operation.name, status, code, message=self._text(fault), retry_after=fault.retry_after
                )
            elif fault.kind in {"hang", "close"}:
                return Reply(503)
        return None


def _thinned(faults: list[Fault], reply: Reply) -> Reply:
    """Return an answer in which faults repeat an item or leave out an answer of a batch."""
    body = reply.body
    for fault in faults:
        if fault.kind == "missing_answer":
            body = _without_last_answer(body)
        for name in _ITEMS if fault.kind == "repeat_item" and isinstance(body, dict) else ():
            if isinstance(body, dict) and body.get(name):
                body = {**body, name: [*body[name], body[name][0]]}
    return Reply(reply.status, body, reply.headers)


def _without_last_answer(body: JSON | bytes | str) -> JSON | bytes | str:
    """Return a batch without its last answer: one of Graph's list, or one of Google's parts."""
    if isinstance(body, dict) and body.get("responses"):
        return {**body, "responses": body["responses"][:-1]}
    if isinstance(body, bytes) and body.startswith(b"--"):
        mark = body.partition(b"\r\n")[0]
        parts = body.split(mark)
        return mark.join([*parts[:-2], parts[-1]])
    return body


def _call(scope: Scope, body: bytes) -> Call:
    raw_path = scope.get("raw_path") or scope["path"].encode()
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return Call(scope["method"], raw_path.decode("latin-1").partition("?")[0], query, headers, body)


async def _body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if not message.get("more_body") or size > _MAX_BODY_BYTES:
            return b"".join(chunks)


def _head(reply: Reply, length: int) -> dict[str, Any]:
    headers = {"content-type": reply.content_type(), **{name.lower(): value for name, value in reply.headers.items()}}
    if reply.status != 204:
        headers["content-length"] = str(length)
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": reply.status, "headers": pairs}


def _packed(reply: Reply, *, takes_gzip: bool) -> tuple[Reply, bytes]:
    """Return the answer for the wire: compressed if it is long enough and the client accepts gzip."""
    content = reply.content()
    if not takes_gzip or len(content) < _WORTH_PACKING_BYTES:
        return reply, content
    own = {name.lower(): value for name, value in reply.headers.items()}
    headers = {"content-type": reply.content_type(), **own, "content-encoding": "gzip", "vary": "Accept-Encoding"}
    packed = gzip.compress(content, compresslevel=1, mtime=0)
    return Reply(reply.status, packed, headers), packed


async def _send(send: Send, reply: Reply, content: bytes) -> None:
    await send(_head(reply, len(content)))
    await send({"type": "http.response.body", "body": content})


async def _mangle(fault: Fault, reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    """Spoil an answer on the wire. Returning in the middle of an answer makes the server close the connection."""
    content = reply.content()
    if fault.kind == "garbage":
        reply = Reply(
            reply.status,
            content[: len(content) // 2] + b"\x00<html>",
            {**reply.headers, "content-type": reply.content_type()},
        )
        await _send(send, reply, reply.content())
    elif fault.kind == "truncate":
        await send(_head(reply, len(content) + 1))
        await send({"type": "http.response.body", "body": content[: len(content) // 2], "more_body": True})
    elif fault.kind == "hang":
        await _wait_for_disconnect(receive, fault.seconds)
        scope[TRANSPORT].abort()
    else:
        scope[TRANSPORT].abort()


async def _wait_for_disconnect(receive: Receive, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return
