"""Connects to the edge by its URL and an API key."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import grpc

CALL_SECONDS = 30.0
OPTIONS: list[tuple[str, int]] = [
    # Finds out about a connection that died in silence.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    # The pauses between attempts are the follower's own.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_retries", 0),
]


class _AsyncUnary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, key: str) -> None:
        self._key = key

    async def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return await continuation(_keyed(details, self._key, CALL_SECONDS), request)


class _AsyncStream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, key: str) -> None:
        self._key = key

    async def intercept_unary_stream(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return await continuation(_keyed(details, self._key, None), request)


@dataclass(frozen=True)
class _CallDetails(grpc.ClientCallDetails):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Threads(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    def __init__(self, key: str) -> None:
        self._key = key

    def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return continuation(_keyed_sync(details, self._key, CALL_SECONDS), request)

    def intercept_unary_stream(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return continuation(_keyed_sync(details, self._key, None), request)


def connect(url: str, key: str, *, authorities: bytes | None = None) -> grpc.aio.Channel:
    """Return a channel of asyncio to the edge, for `follow` and for the stubs of the contract.

    Args:
        url: `https://host[:port]`, or `http://host[:port]` on a network that is trusted.
        key: The API key, which goes with every call. A unary call without a timeout gets one of 30 seconds.
        authorities: Certificate authorities to trust instead of the usual ones, PEM.

    Raises:
        ValueError: The URL or the key is malformed.
    """
    address, credentials = _read(url, key, authorities)
    interceptors = [_AsyncUnary(key), _AsyncStream(key)]
    if credentials is None:
        return grpc.aio.insecure_channel(address, OPTIONS, interceptors=interceptors)
    return grpc.aio.secure_channel(address, credentials, OPTIONS, interceptors=interceptors)


def connect_sync(url: str, key: str, *, authorities: bytes | None = None) -> grpc.Channel:
    """Return a channel for threads; the arguments are those of `connect`.

    Raises:
        ValueError: The URL or the key is malformed.
    """
    address, credentials = _read(url, key, authorities)
    channel = (
        grpc.insecure_channel(address, OPTIONS)
        if credentials is None
        else grpc.secure_channel(address, credentials, OPTIONS)
    )
    return grpc.intercept_channel(channel, _Threads(key))


def _read(url: str, key: str, authorities: bytes | None) -> tuple[str, grpc.ChannelCredentials | None]:
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("the API key must be one word of printable ASCII characters")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("the URL must be http://host[:port] or https://host[:port]")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    address = f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    return address, grpc.ssl_channel_credentials(authorities) if parts.scheme == "https" else None


def _keyed(details: Any, key: str, timeout: float | None) -> Any:
    metadata = grpc.aio.Metadata(*(details.metadata or ()), ("authorization", f"Bearer {key}"))
    return details._replace(metadata=metadata, timeout=timeout if details.timeout is None else details.timeout)


def _keyed_sync(details: Any, key: str, timeout: float | None) -> _CallDetails:
    return _CallDetails(
        method=details.method,
        timeout=timeout if details.timeout is None else details.timeout,
        metadata=(*(details.metadata or ()), ("authorization", f"Bearer {key}")),
        credentials=details.credentials,
        wait_for_ready=details.wait_for_ready,
        compression=details.compression,
    )
