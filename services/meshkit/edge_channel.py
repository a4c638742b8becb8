"""Channels to the edge, for processes that call it as a consumer does: with an API key and no certificate."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import grpc

_OPTIONS: list[tuple[str, int]] = [
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
]


def check_edge(url: str) -> str:
    """Refuse an address to which API keys would travel in plain text.

    Raises:
        ValueError: It is `http://`, and not on loopback.
    """
    parts = urlsplit(url)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError("http:// is for loopback only, because callers' keys travel to the edge: use https://")
    return url


@asynccontextmanager
async def edge_channel(
    url: str, authorities: Path | None, interceptors: Sequence[grpc.aio.ClientInterceptor] = ()
) -> AsyncIterator[grpc.aio.Channel]:
    """Open the channel to the edge until the block ends.

    Args:
        url: The edge: `https://host[:port]`, or `http://` on loopback.
        authorities: Authorities of its certificate instead of the system's, PEM.
        interceptors: Each call passes through them.

    Raises:
        OSError: The file of authorities cannot be read.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = f"{parts.hostname}:{port}"
    if parts.scheme == "https":
        trusted = await asyncio.to_thread(authorities.read_bytes) if authorities else None
        credentials = grpc.ssl_channel_credentials(trusted)
        channel = grpc.aio.secure_channel(address, credentials, _OPTIONS, interceptors=interceptors)
    else:
        channel = grpc.aio.insecure_channel(address, _OPTIONS, interceptors=interceptors)
    async with channel:
        yield channel


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
