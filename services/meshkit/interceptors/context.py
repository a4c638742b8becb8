"""Outermost: gives the call its correlation id, its trace and its deadline."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry.trace import SpanKind
from typing_extensions import override

from services.meshkit import correlation, tracing
from services.meshkit.deadlines import set_deadline
from services.meshkit.interceptors.base import Call, Interceptor


class ContextInterceptor(Interceptor):
    """Takes over or makes what everything inside of the call refers to."""

    @override
    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        correlation.accept_correlation_id(call.headers.get(correlation.HEADER, ""))
        set_deadline(call.context.time_remaining())
        parent = call.headers.get(tracing.HEADER, "")
        if parent or tracing.is_tracing():
            with tracing.span(call.method.lstrip("/"), parent=parent, kind=SpanKind.SERVER):
                yield
        else:
            yield
