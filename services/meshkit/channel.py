"""Channels to other services of the mesh.

    async with mesh_channel(settings.token_vault_address, "token-vault", tls, retry_safe=SAFE) as channel:
        stub = TokenVaultServiceStub(channel)
        await stub.IssueToken(request, timeout=5)

Every call shows our certificate and checks the peer's name, carries the correlation id, the trace and a deadline, and a
unary call raises the `MeshError` that the peer meant. Around the reading of a stream put `remote_errors(peer)`.
"""

import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from grpc.aio import ClientCallDetails, Metadata
from typing_extensions import override

from services.meshkit import correlation, tracing
from services.meshkit.deadlines import budget
from services.meshkit.identity.certificates import TlsFiles, channel_credentials, host_name
from services.meshkit.metrics import CLIENT_HANDLED
from services.meshkit.status import from_rpc_error

UNARY_SECONDS = 10.0
STREAM_SECONDS = 3600.0
_MESSAGE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class CallCaps:
    """What one call may take when it does not say so itself by `timeout=`; the incoming deadline holds in any case.

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
    """Opens a channel; the connection itself is made, and made again, as it is needed.

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
    options = _options(peer, retry_safe)
    interceptors = _interceptors(peer, caps or CallCaps())
    async with grpc.aio.secure_channel(
        address, channel_credentials(tls), options=options, interceptors=interceptors
    ) as channel:
        yield channel


def _options(peer: str, retry_safe: Iterable[str]) -> list[tuple[str, Any]]:
    return [
        ("grpc.ssl_target_name_override", host_name(peer)),
        ("grpc.default_authority", host_name(peer)),
        ("grpc.service_config", json.dumps(service_config(retry_safe))),
        ("grpc.enable_retries", 1),
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


def service_config(retry_safe: Iterable[str]) -> dict[str, Any]:
    """The gRPC service config that repeats only the named methods, and only when the peer is UNAVAILABLE."""
    names = [dict(zip(("service", "method"), name.strip("/").split("/"), strict=True)) for name in sorted(retry_safe)]
    if not names:
        return {}
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.05s",
        "maxBackoff": "1s",
        "backoffMultiplier": 3,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return {"methodConfig": [{"name": names, "retryPolicy": policy}]}


class _Outgoing:
    """What all calls have in common."""

    def __init__(self, peer: str, cap_seconds: float) -> None:
        self._peer = peer
        self._cap_seconds = cap_seconds

    def _prepared(self, details: ClientCallDetails) -> ClientCallDetails:
        """Adds the ids and the deadline. Raises `DeadlineTooShort` instead of calling with no time left."""
        headers = Metadata(*(details.metadata or ()))
        for name, value in (
            (correlation.HEADER, correlation.correlation_id()),
            (tracing.HEADER, tracing.traceparent()),
        ):
            if value and headers.get(name) is None:
                headers.add(name, value)
        return ClientCallDetails(
            method=details.method,
            timeout=budget(self._cap_seconds if details.timeout is None else details.timeout),
            metadata=headers,
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
        )

    async def _answered(self, details: ClientCallDetails, call: Any) -> Any:
        """Waits for the one answer, translates a failure, gives back the call with its metadata."""
        method = _text(details.method)
        try:
            await call
        except grpc.RpcError as exc:
            CLIENT_HANDLED.labels(method, exc.code().name).inc()
            raise from_rpc_error(exc, self._peer) from exc
        CLIENT_HANDLED.labels(method, grpc.StatusCode.OK.name).inc()
        return call


class _UnaryUnary(_Outgoing, grpc.aio.UnaryUnaryClientInterceptor):
    @override
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: ClientCallDetails, request: Any
    ) -> Any:
        return await self._answered(
            client_call_details, await continuation(self._prepared(client_call_details), request)
        )


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


def _interceptors(peer: str, caps: CallCaps) -> list[grpc.aio.ClientInterceptor]:
    return [
        _UnaryUnary(peer, caps.unary_seconds),
        _StreamUnary(peer, caps.unary_seconds),
        _UnaryStream(peer, caps.stream_seconds),
        _StreamStream(peer, caps.stream_seconds),
    ]


def _text(method: str | bytes) -> str:
    return method.decode() if isinstance(method, bytes) else method
