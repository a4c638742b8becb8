"""A slow reader of a download does not keep the other callers of its mailbox waiting for long."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from services.meshkit.errors import Overloaded
from services.processor.messages.reading.download import Download
from services.processor.messages.reading.turns import Turns
from services.processor.servicers.messages import send
from services.processor.stream.errors import ReaderTooSlow


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(1024 * 1024)


async def test_a_caller_that_accepts_nothing_ends_its_download() -> None:
    ended: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def download(_request: bytes, context: Any) -> None:
        try:
            await send(Download("a.bin", "application/x-thing", None, _endless()), context, 0.5)
        except BaseException as exc:
            ended.set_result(exc)
            raise

    handler: Any = grpc.unary_stream_rpc_method_handler(download, None, lambda body: body.SerializeToString())
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Downloads", {"Get": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            get: Any = channel.unary_stream("/test.Downloads/Get")
            call = get(b"")
            await call.initial_metadata()
            found = await asyncio.wait_for(ended, 30)
    finally:
        await server.stop(None)

    assert isinstance(found, ReaderTooSlow)


async def test_the_wait_for_a_turn_is_bounded_and_the_turn_is_free_again() -> None:
    turns = Turns(0.05)
    async with turns.take("mailbox"):
        with pytest.raises(Overloaded):
            async with turns.take("mailbox"):
                pytest.fail("it is not our turn")
        async with turns.take("other"):
            pass
    async with turns.take("mailbox"):
        pass
