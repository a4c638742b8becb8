"""Every route of the OpenAPI document through the real Envoy: each reaches its RPC, and none accepts invalid input."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import descriptor_pool, message_factory

from gateway.contract import descriptor_path, edge_services
from tests.gateway.conftest import ADMIN_KEY, Edge, Seen, StartEdge, error_of
from tools.documents import read_yaml

DOCUMENT = Path(__file__).resolve().parents[2] / "gen" / "openapi" / "openapi.yaml"
KEY = {"authorization": f"Bearer {ADMIN_KEY}"}
AN_ID = "019a9f0e-7c1e-7000-8000-000000000000"
TRAILERS = 0x80


@dataclass(frozen=True)
class Route:
    """A route of the document.

    Attributes:
        method: HTTP method.
        path: With an id in the place of each parameter.
        rpc: Service and method, as the document's operation id says.
        takes_body: Whether it has one.
    """

    method: str
    path: str
    rpc: str
    takes_body: bool

    @property
    def is_webhook(self) -> bool:
        return self.rpc.startswith("IngestService/")

    @property
    def is_open(self) -> bool:
        return self.is_webhook or self.rpc.startswith(("AuthorizationService/", "SignInService/"))

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@cache
def routes() -> tuple[Route, ...]:
    return tuple(_routes(read_yaml(DOCUMENT.read_text())["paths"]))


def _routes(paths: dict[str, Any]) -> Iterator[Route]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            if method not in {"get", "post", "patch", "delete", "put"}:
                continue
            filled = re.sub(r"\{\w+\}", AN_ID, path.replace("{provider}", "ms365"))
            service, rpc, *_ = operation["operationId"].split("_")
            yield Route(method.upper(), filled, f"{service}/{rpc}", "requestBody" in operation)


class Everything(grpc.GenericRpcHandler):
    """Answers every RPC of the contract with an empty answer, and records the call."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._pool = descriptor_pool.Default()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        name = details.method[1:].replace("/", ".")
        try:
            method = self._pool.FindMethodByName(name)
        except KeyError:
            return None
        if not name.startswith("mailmesh."):
            return None
        request = message_factory.GetMessageClass(method.input_type)
        answer = message_factory.GetMessageClass(method.output_type)

        async def unary(request: Any, context: grpc.aio.ServicerContext) -> Any:
            self._seen.record(details.method, request, context)
            return answer()

        async def stream(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            self._seen.record(details.method, request, context)
            yield HttpBody(content_type="text/event-stream", data=b": well\n\n") if answer is HttpBody else answer()

        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        return make(
            stream if method.server_streaming else unary,
            request_deserializer=request.FromString,
            response_serializer=answer.SerializeToString,
        )


@pytest.fixture
async def edge(start_edge: StartEdge) -> Edge:
    """An edge in front of services that answer every RPC."""
    return await start_edge(everything=Everything)


async def test_every_route_reaches_its_rpc(edge: Edge) -> None:
    for route in routes():
        answer = await send(edge, route, headers=KEY)

        assert 200 == answer.status_code, (str(route), answer.text)
        assert route.rpc == edge.seen.last[0].rpartition(".")[2], str(route)


async def test_every_rpc_of_the_edge_is_reached_by_native_grpc_and_grpc_web_too(edge: Edge) -> None:
    frame = b"\x00" + (0).to_bytes(4, "big")
    async with grpc.aio.insecure_channel(edge.address) as channel:
        for service in edge_services(descriptor_path()):
            for method in service.methods:
                name = f"/{service.name}/{method}"
                edge.seen.calls.clear()
                await anext(aiter(channel.unary_stream(name)(b"", metadata=tuple(KEY.items()), timeout=30)))
                web = await edge.client.post(
                    name, content=frame, headers=KEY | {"content-type": "application/grpc-web+proto"}
                )

                assert [name, name] == [call[0] for call in edge.seen.calls if call[0] != "Check"]
                assert 200 == web.status_code
                assert b"grpc-status:0" in _trailers(web.content)


async def test_no_route_is_open_without_a_key_but_webhooks_and_the_browsers_steps(edge: Edge) -> None:
    open_routes = set()
    for route in routes():
        answer = await send(edge, route)
        if answer.status_code == 401:
            assert (16, "API_KEY_INVALID") == error_of(answer), str(route)
        else:
            assert 200 == answer.status_code, str(route)
            open_routes.add(route)

    assert {route for route in routes() if route.is_open} == open_routes


async def test_no_route_takes_a_parameter_that_it_does_not_know_but_those_that_strangers_call(edge: Edge) -> None:
    for route in routes():
        edge.seen.calls.clear()
        answer = await send(edge, route, "?someday=1", headers=KEY)

        is_lenient = route.is_open
        assert (200 if is_lenient else 400) == answer.status_code, (str(route), answer.text)
        if not is_lenient:
            assert (3, "FIELD_INVALID") == error_of(answer)
            assert [] == edge.seen.calls


async def test_no_route_of_the_api_takes_a_body_that_is_not_json(edge: Edge) -> None:
    checked = 0
    for route in routes():
        if not route.takes_body or route.is_open:
            continue
        for body in (b"{nope", b"[1]", b"\xff\xfe", b'"text"'):
            edge.seen.calls.clear()
            answer = await edge.client.request(route.method, route.path, content=body, headers=KEY)
            reached = [call for call in edge.seen.calls if call[0] != "Check"]
            assert 400 == answer.status_code, (str(route), body, answer.text)
            assert [] == reached, (str(route), body)
            assert (3, "FIELD_INVALID") == error_of(answer)
        checked += 1

    assert checked > 10


async def test_no_route_takes_another_method(edge: Edge) -> None:
    known = {(route.method, route.path) for route in routes()}
    for path in {route.path for route in routes()}:
        for method in {"GET", "POST", "PATCH", "DELETE", "PUT", "TRACE"} - {one for one, own in known if own == path}:
            edge.seen.calls.clear()
            answer = await edge.client.request(method, path, headers=KEY)

            assert answer.status_code in (404, 405, 400), (method, path, answer.status_code)
            assert [] == [call for call in edge.seen.calls if call[0] != "Check"], (method, path)


async def test_a_body_over_the_limit_is_413_on_every_route_that_takes_one(start_edge: StartEdge) -> None:
    edge = await start_edge(
        everything=Everything, api_body_bytes=10_000, webhook_body_bytes=10_000, content_body_bytes=10_000
    )
    for route in routes():
        if not route.takes_body:
            continue
        answer = await edge.client.request(route.method, route.path, content=b"x" * 100_000, headers=KEY)

        assert (413, 8, "BODY_TOO_LARGE") == (answer.status_code, *error_of(answer)), str(route)
    assert [] == [call for call in edge.seen.calls if call[0] != "Check"]


async def send(edge: Edge, route: Route, query: str = "", **more: Any) -> httpx.Response:
    """Send a valid request to the route."""
    content = b"{}" if route.takes_body else None
    return await edge.client.request(route.method, f"{route.path}{query}", content=content, **more)


def _trailers(body: bytes) -> bytes:
    """Return the trailers of a gRPC-Web answer."""
    at = 0
    while body[at] != TRAILERS:
        at += 5 + int.from_bytes(body[at + 1 : at + 5], "big")
    return body[at + 5 :].replace(b" ", b"")
