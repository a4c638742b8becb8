"""Channels to other services of the mesh.

    async with mesh_channel(settings.token_vault_address, "token-vault", tls, retry_safe=SAFE) as channel:
        stub = TokenVaultServiceStub(channel)
        await stub.IssueToken(request, timeout=5)

Every call shows our certificate and checks the peer's name, carries the correlation id, the trace and a deadline, and a
unary call raises the `MeshError` that the peer meant. Around the reading of a stream put `remote_errors(peer)`.
"""

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from grpc.aio import ClientCallDetails, Metadata
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_random_exponential
from typing_extensions import override

from services.meshkit import correlation, tracing
from services.meshkit.deadlines import budget
from services.meshkit.errors import Unavailable
from services.meshkit.header_bounds import METADATA_OPTIONS
from services.meshkit.identity.certificates import FileChanges, TlsFiles, channel_credentials, host_name
from services.meshkit.metrics import CLIENT_HANDLED
from services.meshkit.rotating_channel import RotatingChannel
from services.meshkit.status import from_rpc_error

UNARY_SECONDS = 10.0
STREAM_SECONDS = 3600.0
_ATTEMPTS, _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 4, 0.05, 1.0
_MESSAGE_BYTES = 16 * 1024 * 1024
_BALANCED = '{"loadBalancingConfig": [{"round_robin": {}}]}'


@dataclass(frozen=True)
class CallCaps:
    """Time limits of calls that pass no `timeout=` of their own; the incoming deadline holds in any case.

    Args:
        unary_seconds: For calls with one answer.
        stream_seconds: For calls with a stream of answers.
    """

    unary_seconds: float = UNARY_SECONDS
    stream_seconds: float = STREAM_SECONDS


@asynccontextmanager
async def mesh_channel(
    address: str,
    peer: str,
    tls: TlsFiles,
    *,
    retry_safe: Iterable[str] = (),
    caps: CallCaps | None = None,
) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel; the connection itself is made, and made again, as it is needed. It follows changed certificates.

    Args:
        address: `host:port`, or `unix:/path`.
        peer: The mesh identity that must answer there; its certificate is checked for it.
        tls: Our own identity.
        retry_safe: Full names of methods (`/package.Service/Method`) that may be repeated when the peer is UNAVAILABLE:
            reads, and writes that are safe to call again.
        caps: Bounds of time.

    Yields:
        A channel for generated stubs.
    """
    bounds, repeated = caps or CallCaps(), frozenset(retry_safe)

    def make() -> grpc.aio.Channel:
        interceptors = _interceptors(peer, bounds, repeated)
        return grpc.aio.secure_channel(
            address, channel_credentials(tls), options=_options(peer), interceptors=interceptors
        )

    longest_call_seconds = max(bounds.unary_seconds, bounds.stream_seconds)
    async with RotatingChannel(make, FileChanges(tls), longest_call_seconds) as channel:
        yield channel


def _options(peer: str) -> list[tuple[str, Any]]:
    return [
        *METADATA_OPTIONS,
        ("grpc.ssl_target_name_override", host_name(peer)),
        ("grpc.default_authority", host_name(peer)),
        # A name may have the addresses of several processes: all that answer get calls, and not the first one alone.
        ("grpc.service_config", _BALANCED),
        # A call that gRPC itself repeats may hang for ever, its deadline notwithstanding: grpc/grpc issue 41036.
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # A restarted peer is found again within a second instead of the two minutes of the default.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1_000),
        ("grpc.max_reconnect_backoff_ms", 1_000),
    ]


class _Outgoing:
    """The part that all calls share."""

    def __init__(self, peer: str, cap_seconds: float) -> None:
        self._peer = peer
        self._cap_seconds = cap_seconds

    def _seconds(self, details: ClientCallDetails) -> float:
        """Return the time limit of the call. Raises `DeadlineTooShort` instead of calling with no time left."""
        return budget(self._cap_seconds if details.timeout is None else details.timeout)

    def _prepared(self, details: ClientCallDetails, seconds: float | None = None) -> ClientCallDetails:
        """Add the ids and the deadline."""
        headers = Metadata(*(details.metadata or ()))
        for name, value in (
            (correlation.HEADER, correlation.correlation_id()),
            (tracing.HEADER, tracing.traceparent()),
        ):
            if value and headers.get(name) is None:
                headers.add(name, value)
        return ClientCallDetails(
            method=details.method,
            timeout=self._seconds(details) if seconds is None else seconds,
            metadata=headers,
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
        )

    async def _answered(self, details: ClientCallDetails, call: Any) -> Any:
        """Wait for the one answer, translate a failure, and return the call with its metadata."""
        method = _text(details.method)
        try:
            await call
        except grpc.RpcError as exc:
            CLIENT_HANDLED.labels(method, exc.code().name).inc()
            raise from_rpc_error(exc, self._peer) from exc
        CLIENT_HANDLED.labels(method, grpc.StatusCode.OK.name).inc()
        return call


class _UnaryUnary(_Outgoing, grpc.aio.UnaryUnaryClientInterceptor):
    """Repeats what is safe to repeat when the peer is UNAVAILABLE, all within one deadline."""

    def __init__(self, peer: str, cap_seconds: float, retry_safe: Collection[str]) -> None:
        super().__init__(peer, cap_seconds)
        self._retry_safe = retry_safe

    @override
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: ClientCallDetails, request: Any
    ) -> Any:
        details, seconds = client_call_details, self._seconds(client_call_details)
        if _text(details.method) not in self._retry_safe:
            return await self._answered(details, await continuation(self._prepared(details, seconds), request))
        ends_at = time.monotonic() + seconds
        async for attempt in AsyncRetrying(
            stop=stop_after_attempt(_ATTEMPTS) | stop_before_delay(seconds),
            wait=wait_random_exponential(multiplier=_FIRST_PAUSE_SECONDS, max=_LONGEST_PAUSE_SECONDS),
            retry=retry_if_exception_type(Unavailable),
            reraise=True,
        ):
            with attempt:
                prepared = self._prepared(details, max(0.0, ends_at - time.monotonic()))
                return await self._answered(details, await continuation(prepared, request))
        raise AssertionError("tenacity ends with an answer or a failure")


class _StreamUnary(_Outgoing, grpc.aio.StreamUnaryClientInterceptor):
    @override
    async def intercept_stream_unary(
        self,
        continuation: Callable[..., Any],
        client_call_details: ClientCallDetails,
        request_iterator: AsyncIterable[Any] | Iterable[Any],
    ) -> Any:
        return await continuation(self._prepared(client_call_details), request_iterator)


class _UnaryStream(_Outgoing, grpc.aio.UnaryStreamClientInterceptor):
    @override
    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self._prepared(client_call_details), request)


class _StreamStream(_Outgoing, grpc.aio.StreamStreamClientInterceptor):
    @override
    async def intercept_stream_stream(
        self,
        continuation: Callable[..., Any],
        client_call_details: ClientCallDetails,
        request_iterator: AsyncIterable[Any] | Iterable[Any],
    ) -> Any:
        return await continuation(self._prepared(client_call_details), request_iterator)


def _interceptors(peer: str, caps: CallCaps, retry_safe: Collection[str]) -> list[grpc.aio.ClientInterceptor]:
    return [
        _UnaryUnary(peer, caps.unary_seconds, retry_safe),
        _StreamUnary(peer, caps.unary_seconds),
        _UnaryStream(peer, caps.stream_seconds),
        _StreamStream(peer, caps.stream_seconds),
    ]


def _text(method: str | bytes) -> str:
    return method.decode() if isinstance(method, bytes) else method
