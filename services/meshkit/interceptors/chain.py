"""The steps around every RPC, each of them once, in one place.

From the outside in: correlation id, deadline and trace; the access log; failures become a status; no more calls at once
than the server can bear; who calls and whether they may; whether the request holds what the contract requires.

Handlers read requests from their `request_iterator` argument; requests taken by `context.read()` are not checked.
"""

from __future__ import annotations  # gRPC's classes are generic in their stubs only

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractContextManager, aclosing, nullcontext
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message
from opentelemetry.trace import SpanKind

from services.meshkit import correlation, tracing
from services.meshkit.access import Access
from services.meshkit.deadlines import set_deadline
from services.meshkit.identity.caller import set_caller
from services.meshkit.interceptors.access_log import AccessLog
from services.meshkit.interceptors.admission import Admission
from services.meshkit.interceptors.call import Call
from services.meshkit.interceptors.caller import admitted
from services.meshkit.interceptors.error_status import Explain, refuse, unexplained
from services.meshkit.interceptors.reading import check_readable, reading
from services.meshkit.interceptors.validation import check

if TYPE_CHECKING:
    _Handler = grpc.RpcMethodHandler[Any, Any]
    _Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]]
    _Context = grpc.aio.ServicerContext[Any, Any]


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Stands around every RPC of a server, of any of the four arities.

    Args:
        table: The access to each method. A method that is not in it is refused to everyone.
        admission: Bounds the calls that run at the same time, open streams included.
        quiet: Full names of methods whose calls are logged only when they fail.
        explain: Explains a failure that a handler has raised.
    """

    def __init__(
        self,
        table: Mapping[str, Access],
        admission: Admission,
        quiet: Collection[str] = (),
        explain: Explain = unexplained,
    ) -> None:
        self._explain = explain
        self._table = table
        self._admission = admission
        self._log = AccessLog(quiet)
        self._wrapped: dict[str, _Handler] = {}

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> _Handler | None:
        """Wrap the handler of a method the first time it is called. Unknown methods stay unknown."""
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
            wrap(method, inner, _checked_stream if handler.request_streaming else _checked),
            request_deserializer=reading(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )
        return wrapped

    def _returning(self, method: str, inner: Callable[..., Awaitable[Any]], checked: Callable[[Any], Any]) -> Any:
        """Wrap handlers that return a response, or write responses to the context."""

        async def handle(request: Any, context: _Context) -> Any:
            call = Call(method, context)
            with _traced(call), self._log.around(call):
                try:
                    with self._admission.take(call):
                        set_caller(admitted(call, self._table))
                        return await inner(checked(request), context)
                except Exception as exc:  # noqa: BLE001 - the outermost net; logged and counted in `refuse`
                    await refuse(call, exc, self._explain)

        return handle

    def _generating(self, method: str, inner: Callable[..., Any], checked: Callable[[Any], Any]) -> Any:
        """Wrap handlers that yield responses."""

        async def handle(request: Any, context: _Context) -> AsyncIterator[Any]:
            call = Call(method, context)
            with _traced(call), self._log.around(call):
                try:
                    with self._admission.take(call):
                        set_caller(admitted(call, self._table))
                        async with aclosing(inner(checked(request), context)) as responses:
                            async for response in responses:
                                yield response
                except Exception as exc:  # noqa: BLE001 - the outermost net; logged and counted in `refuse`
                    await refuse(call, exc, self._explain)

        return handle


def _traced(call: Call) -> AbstractContextManager[object]:
    """Take over or make the context of the call: its correlation id, deadline and trace.

    Every RPC has a context of its own, so its context variables need not be restored.
    """
    correlation.accept_correlation_id(call.headers.get(correlation.HEADER, ""))
    set_deadline(call.context.time_remaining())
    parent = call.headers.get(tracing.HEADER, "")
    if parent or tracing.is_tracing():
        return tracing.span(call.method.lstrip("/"), parent=parent, kind=SpanKind.SERVER)
    return nullcontext()


def _checked(request: Message) -> Message:
    check_readable(request)
    check(request)
    return request


async def _checked_stream(requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
    async for request in requests:
        yield _checked(request)
