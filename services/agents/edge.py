"""Calls of the edge with the caller's key. The edge authorizes each of them as it does for everybody."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.meshkit.edge_channel import edge_channel


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
    async with edge_channel(url, authorities) as channel:
        yield Edge(channel, seconds)
