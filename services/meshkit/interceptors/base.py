"""One way to stand around an RPC of any of the four arities.

An interceptor overrides `around`, an async context manager around the whole call, or `check_request`, which sees every
request message before the handler does, or both.

Handlers read requests from their `request_iterator` argument; requests taken by `context.read()` are not checked.
"""

from __future__ import annotations  # gRPC's classes are generic in their stubs only

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message

from services.meshkit.errors import CallerUnknown
from services.meshkit.identity.caller import mesh_name

if TYPE_CHECKING:
    _Handler = grpc.RpcMethodHandler[Any, Any]
    _Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]]


@dataclass(eq=False)
class Call:
    """What an interceptor knows about the call that runs.

    Args:
        method: `/package.Service/Method`.
        context: gRPC's own view of it.
    """

    method: str
    context: grpc.aio.ServicerContext[Any, Any] = field(repr=False)

    @cached_property
    def headers(self) -> dict[str, str]:
        """The call's text metadata. Of a name that comes twice the values are joined by commas, as HTTP does."""
        headers: dict[str, str] = {}
        for name, value in self.context.invocation_metadata() or ():
            if isinstance(value, str):
                headers[name] = f"{headers[name]},{value}" if name in headers else value
        return headers

    @cached_property
    def peer(self) -> str:
        """The mesh identity on the other side of the connection; empty when it has none."""
        try:
            return mesh_name(self.context.auth_context())
        except CallerUnknown:
            return ""


_current: ContextVar[Call | None] = ContextVar("call", default=None)


def _call(method: str, context: grpc.aio.ServicerContext[Any, Any]) -> Call:
    """The call that runs here; all interceptors share one, so that what it knows is found out once."""
    call = _current.get()
    if call is None or call.context is not context:
        call = Call(method, context)
        _current.set(call)
    return call


class Interceptor(grpc.aio.ServerInterceptor):
    """Stands around every RPC of a server."""

    def __init__(self) -> None:
        self._wrapped: dict[str, _Handler] = {}

    def around(self, call: Call) -> AbstractAsyncContextManager[None]:
        """Runs around the call; an exception that it raises or lets through ends the call.

        What it sets in context variables holds for the handler; every RPC has a context of its own, so nothing needs
        to be put back.
        """
        del call
        return nullcontext()

    def check_request(self, call: Call, request: Message) -> None:
        """Looks at a request message before the handler does, and raises when it must not go on."""

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> _Handler | None:
        """Wraps the handler of a method the first time it is called. Unknown methods stay unknown."""
        method = handler_call_details.method
        if method not in self._wrapped:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            self._wrapped[method] = self._wrap(method, handler)
        return self._wrapped[method]

    def _wrap(self, method: str, handler: _Handler) -> _Handler:
        kind = ("stream" if handler.request_streaming else "unary") + (
            "_stream" if handler.response_streaming else "_unary"
        )
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        inner = getattr(handler, kind)
        wrap = self._generating if inspect.isasyncgenfunction(inner) else self._returning
        wrapped: _Handler = make(
            wrap(method, inner, is_stream=handler.request_streaming),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )
        return wrapped

    def _returning(self, method: str, inner: Callable[..., Awaitable[Any]], *, is_stream: bool) -> Callable[..., Any]:
        """For handlers that return a response, or write responses to the context."""

        async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            call = _call(method, context)
            async with self.around(call):
                return await inner(self._checked(call, request, is_stream=is_stream), context)

        return handle

    def _generating(self, method: str, inner: Callable[..., Any], *, is_stream: bool) -> Callable[..., Any]:
        """For handlers that yield responses."""

        async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            call = _call(method, context)
            async with (
                self.around(call),
                aclosing(inner(self._checked(call, request, is_stream=is_stream), context)) as responses,
            ):
                async for response in responses:
                    yield response

        return handle

    def _checked(self, call: Call, request: Any, *, is_stream: bool) -> Any:
        if type(self).check_request is Interceptor.check_request:
            return request
        if is_stream:
            return self._checked_stream(call, request)
        self.check_request(call, request)
        return request

    async def _checked_stream(self, call: Call, requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
        async for request in requests:
            self.check_request(call, request)
            yield request
