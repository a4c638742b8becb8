"""Microsoft's documents are fetched within a deadline and a bound, however their server answers."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from services.ingest.errors import ProviderUnavailable
from services.ingest.resource_data.publisher import fetch_json

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """Serve one answer, and yield its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(_HEAD)
            await answer(writer)
        except ConnectionError:
            return  # the caller gave up
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
    finally:
        server.close()


async def whole(writer: asyncio.StreamWriter) -> None:
    writer.write(b'{"keys": []}')
    await writer.drain()


async def drops(writer: asyncio.StreamWriter) -> None:
    writer.write(b"{")
    for _ in range(60):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.25)


async def endless(writer: asyncio.StreamWriter) -> None:
    for _ in range(1024):
        writer.write(b" " * 65536)
        await writer.drain()


async def nested(writer: asyncio.StreamWriter) -> None:
    writer.write(b"[" * 100_000)
    await writer.drain()


async def test_a_document_is_fetched() -> None:
    async with httpx.AsyncClient(trust_env=False) as client, serving(whole) as url:
        assert {"keys": []} == await fetch_json(client)(url)


@pytest.mark.parametrize("answer", [drops, endless, nested])
async def test_an_answer_in_drops_without_an_end_or_too_deep_is_a_failure_in_time(answer: Answer) -> None:
    async with httpx.AsyncClient(trust_env=False) as client, serving(answer) as url:
        begun = time.monotonic()
        with pytest.raises(ProviderUnavailable):
            await fetch_json(client)(url)

    assert time.monotonic() - begun < 5
