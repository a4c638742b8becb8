"""Calls of the edge with the caller's key. The edge authorizes each of them as it does for everybody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_status import rpc_status

_OPTIONS: list[tuple[str, int]] = [
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
]


class CallFailed(Exception):  # noqa: N818 - named as the failures of gRPC are
    """A call that the edge or a service refused; the message is for the agent."""


class Edge:
    """The edge.

    Args:
        channel: Its channel.
        seconds: The longest duration of a call.
    """

    def __init__(self, channel: grpc.aio.Channel, seconds: float) -> None:
        self._channel, self._seconds = channel, seconds

    async def call(self, path: str, request: bytes, authorization: str) -> bytes:
        """Call an RPC with one request and one response.

        Args:
            path: `/package.Service/Method`.
            request: The request's bytes.
            authorization: The caller's header, as it came.

        Raises:
            CallFailed: With the reason of the failure.
        """
        method: Any = self._channel.unary_unary(path)
        try:
            response: bytes = await method(request, metadata=(("authorization", authorization),), timeout=self._seconds)
        except grpc.aio.AioRpcError as exc:
            raise CallFailed(_text(exc)) from exc
        return response


def _text(error: grpc.aio.AioRpcError) -> str:
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # has the fields that it reads
    except (ValueError, DecodeError):
        status = None
    for detail in status.details if status else ():
        if not detail.Unpack(info):
            detail.Unpack(retry)
    wait = f" Retry after {retry.retry_delay.seconds} s." if retry.retry_delay.seconds else ""
    # Without a reason the text is gRPC's own, which may name addresses of the operator's network.
    text = f"{info.reason}: {error.details()}" if info.reason else f"{error.code().name}: the mesh did not answer."
    return text + wait


@asynccontextmanager
async def open_edge(url: str, authorities: Path | None, seconds: float) -> AsyncIterator[Edge]:
    """Open the channel to the edge until the block ends.

    Raises:
        OSError: The file of authorities cannot be read.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = f"{parts.hostname}:{port}"
    if parts.scheme == "https":
        trusted = await asyncio.to_thread(authorities.read_bytes) if authorities else None
        channel = grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(trusted), _OPTIONS)
    else:
        channel = grpc.aio.insecure_channel(address, _OPTIONS)
    async with channel:
        yield Edge(channel, seconds)
