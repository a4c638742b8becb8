"""Answers about subscriptions without end, slow or nested too deeply: each is one named failure, in bounded time."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from mailmesh.vault.v1 import token_vault_service_pb2 as pb2
from services.ingest.errors import ProviderUnavailable
from services.ingest.subscriptions import provider_calls
from services.ingest.subscriptions.google import GmailWatches
from services.ingest.subscriptions.provider_calls import ProviderCalls, TokenBorrower
from services.meshkit.ids import new_id
from tests.factories.receivers import Authority, Behaviour, answering, receiver

TENANT = new_id()


def answer_of(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers, "", "")).encode() + body


async def issue(_request: pb2.IssueTokenRequest) -> pb2.IssueTokenResponse:
    return pb2.IssueTokenResponse(access_token="token")


@asynccontextmanager
async def watches(folder: Path, behave: Behaviour) -> AsyncIterator[GmailWatches]:
    authority = Authority(folder)
    async with (
        receiver(authority.server("127.0.0.1"), behave) as server,
        httpx.AsyncClient(verify=ssl.create_default_context(cafile=authority.path), trust_env=False) as http,
    ):
        calls = ProviderCalls("googlews", http, TokenBorrower(issue))
        yield GmailWatches(calls, f"https://127.0.0.1:{server.port}", "topic")


async def drip(_request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.2)


LONG = b"x" * (2 * provider_calls.ANSWER_BYTES)
HOSTILE: dict[str, Callable[[], Any]] = {
    "slow": lambda: drip,
    "long": partial(answering, answer_of(LONG)),
    "packed": partial(answering, answer_of(gzip.compress(LONG), "200 OK", "content-encoding: gzip")),
    "deep": partial(answering, answer_of(b"[" * 200_000)),
    "deep failure": partial(answering, answer_of(b'{"error":' * 200_000, "503 Busy")),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_answer_about_a_subscription_is_one_named_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(provider_calls, "CALL_SECONDS", 1.0)
    async with watches(tmp_path, HOSTILE[name]()) as at:
        async with asyncio.timeout(30):
            with pytest.raises(ProviderUnavailable):
                await at.watch(TENANT, [])


async def test_a_packed_answer_about_a_subscription_is_read(tmp_path: Path) -> None:
    body = gzip.compress(b'{"expiration": "1795900000000", "historyId": "77"}')
    async with watches(tmp_path, answering(answer_of(body, "200 OK", "content-encoding: gzip"))) as at:
        made = await at.watch(TENANT, [])

    assert (77, datetime.fromtimestamp(1_795_900_000, UTC)) == (made.history_id, made.expires_at)
