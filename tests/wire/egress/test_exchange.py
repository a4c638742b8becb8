"""One request carries mailmesh's bytes and headers, and its answer is bounded in time and size."""

import asyncio
import datetime as dt
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from services.egress import dialing
from services.egress.client import EgressClient
from services.egress.exchange import KEPT_BYTES, Answer
from services.egress.faults import EgressError, Fault
from services.meshkit.secret import Secret
from tests.factories.receivers import OK, Authority, Behaviour, answering, receiver
from tests.wire.egress.conftest import OpenClient

NAME = "receiver.example"
BODY = '{"subject": "Grüße"}\n'.encode()
SIGNED = {"content-type": "application/json", "webhook-id": "event-1", "webhook-signature": "v1,AAAA"}
# Long enough for every machine; no test waits for it.
PLENTY_SECONDS = 60.0


@pytest.fixture(scope="session")
def tls(authority: Authority) -> ssl.SSLContext:
    return authority.server(NAME, "127.0.0.1")


async def post(client: EgressClient, port: int, **options: Any) -> Answer:
    host, scheme = options.pop("host", NAME), options.pop("scheme", "https")
    own: Mapping[str, Secret] = options.pop("own_headers", {})
    seconds = options.pop("timeout_seconds", PLENTY_SECONDS)
    url = f"{scheme}://{host}:{port}/a%2Fb?c=%20d"
    return await client.post(url, BODY, SIGNED, timeout_seconds=seconds, own_headers=own, **options)


async def fault(client: EgressClient, port: int, **options: Any) -> Fault:
    with pytest.raises(EgressError) as failed:
        await post(client, port, **options)
    return failed.value.fault


def raw(answer: bytes, *, closes: bool = True) -> Behaviour:
    async def behave(_request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        if closes:
            writer.close()

    return behave


async def silence(_request: bytes, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def endless(_request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
        await writer.drain()


async def test_the_signed_bytes_arrive_with_the_headers_of_both_sides(
    client: EgressClient, tls: ssl.SSLContext
) -> None:
    async with receiver(tls, answering(OK)) as seen:
        answer = await post(client, seen.port, own_headers={"Authorization": Secret("Bearer x"), "X-Key": Secret("y")})

    assert (200, b"ok", True, "") == (answer.status, answer.body, answer.is_complete, answer.retry_after)
    assert seen.requests[0].startswith(b"POST /a%2Fb?c=%20d HTTP/1.1\r\n")
    assert seen.requests[0].endswith(b"\r\n\r\n" + BODY)
    assert [f"{NAME}:{seen.port}"] == seen.header("host")
    for name, value in {
        **SIGNED,
        "authorization": "Bearer x",
        "x-key": "y",
        "accept-encoding": "identity",
        "user-agent": "mailmesh-webhooks",
        "content-length": str(len(BODY)),
    }.items():
        assert [value] == seen.header(name)


async def test_own_headers_that_would_replace_ours_send_nothing(client: EgressClient, tls: ssl.SSLContext) -> None:
    async with receiver(tls, answering(OK)) as seen:
        for name, value in (("Webhook-Id", "x"), ("content-length", "0"), ("x", "a\r\nhost: b")):
            assert Fault.URL_REFUSED is await fault(client, seen.port, own_headers={name: Secret(value)})
    assert seen.connections == 0


async def test_a_connection_serves_again_and_keeps_no_cookie(client: EgressClient, tls: ssl.SSLContext) -> None:
    setting = b"HTTP/1.1 200 OK\r\nset-cookie: a=b; path=/\r\ncontent-length: 0\r\n\r\n"
    async with receiver(tls, answering(setting)) as seen:
        for _ in range(3):
            await post(client, seen.port)
        assert (1, 3) == (seen.connections, len(seen.requests))
        assert [] == seen.header("cookie")


@pytest.mark.parametrize(
    ("head", "status", "retry_after"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        (b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", 410, ""),
        (b"HTTP/1.1 429 Slow\r\nRetry-After: 120\r\ncontent-length: 0\r\n\r\n", 429, "120"),
        (b"HTTP/1.1 503 X\r\nretry-after: " + b"9" * 500 + b"\r\ncontent-length: 0\r\n\r\n", 503, "9" * 100),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, ""),
    ],
)
async def test_each_status_is_an_answer(
    client: EgressClient, tls: ssl.SSLContext, head: bytes, status: int, retry_after: str
) -> None:
    async with receiver(tls, answering(head)) as seen:
        answer = await post(client, seen.port)
    assert (status, retry_after, b"") == (answer.status, answer.retry_after, answer.body)


async def test_the_first_bytes_of_an_answer_are_kept(client: EgressClient, tls: ssl.SSLContext) -> None:
    body = bytes(range(256)) * 40
    whole = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    async with receiver(tls, answering(whole)) as seen:
        short, long = await post(client, seen.port), await post(client, seen.port, keep_bytes=len(body))
    assert (body[:KEPT_BYTES], False) == (short.body, short.is_complete)
    assert (body, True) == (long.body, long.is_complete)
    assert seen.connections == 1


async def test_an_endless_answer_ends_its_connection(client: EgressClient, tls: ssl.SSLContext) -> None:
    async with receiver(tls, endless) as seen:
        answer = await post(client, seen.port)
        async with asyncio.timeout(PLENTY_SECONDS):
            await seen.left.wait()
    assert (200, KEPT_BYTES, False) == (answer.status, len(answer.body), answer.is_complete)


@pytest.mark.parametrize(
    "rest", [b"content-length: 9\r\n\r\nab", b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n", b"\r\nab"]
)
@pytest.mark.parametrize("closes", [True, False])
async def test_a_status_is_the_answer_even_if_its_body_breaks_or_never_ends(
    client: EgressClient, tls: ssl.SSLContext, rest: bytes, *, closes: bool
) -> None:
    async with receiver(tls, raw(b"HTTP/1.1 202 Accepted\r\n" + rest, closes=closes)) as seen:
        answer = await post(client, seen.port, timeout_seconds=PLENTY_SECONDS if closes else 1)
    assert (202, b"ab") == (answer.status, answer.body)


async def test_a_receiver_that_does_not_answer_is_left(client: EgressClient, tls: ssl.SSLContext) -> None:
    async with receiver(tls, silence) as seen:
        assert Fault.TIMED_OUT is await fault(client, seen.port, timeout_seconds=0.5)
        async with asyncio.timeout(PLENTY_SECONDS):
            await seen.left.wait()


async def test_a_receiver_that_never_speaks_tls_is_left(client: EgressClient) -> None:
    held = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        held.set()

    async with await asyncio.start_server(hold, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        assert Fault.TIMED_OUT is await fault(client, port, timeout_seconds=0.5)
        async with asyncio.timeout(PLENTY_SECONDS):
            await held.wait()


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"x%d: y\r\n" % number for number in range(2000)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
    ],
)
async def test_an_answer_that_is_not_http_is_none(client: EgressClient, tls: ssl.SSLContext, answer: bytes) -> None:
    async with receiver(tls, raw(answer)) as seen:
        assert Fault.ANSWER_INVALID is await fault(client, seen.port)


async def test_a_connection_that_ends_before_the_answer_is_lost(client: EgressClient, tls: ssl.SSLContext) -> None:
    async with receiver(tls, raw(b"")) as seen:
        assert Fault.CONNECTION_LOST is await fault(client, seen.port)
    assert 1 == len(seen.requests)


async def test_a_kept_connection_that_was_closed_is_replaced_once(client: EgressClient, tls: ssl.SSLContext) -> None:
    requests = 0

    async def second_is_dropped(_request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1
        if requests == 2:
            writer.transport.abort()
        else:
            writer.write(OK)

    async with receiver(tls, second_is_dropped) as seen:
        assert [200, 200] == [(await post(client, seen.port)).status for _ in range(2)]
    assert (2, 3) == (seen.connections, len(seen.requests))


async def test_a_receiver_is_asked_to_close_its_connection_when_too_many_are_kept(
    client: EgressClient, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialing, "MOST_KEPT", 2)
    monkeypatch.setattr(dialing, "_COUNT_SECONDS", 0)
    closing = raw(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    tls = authority.server(NAME)
    async with receiver(tls, answering(OK)) as one, receiver(tls, answering(OK)) as two, receiver(tls, closing) as more:
        for seen in (one, two, more, one, more):
            await post(client, seen.port)
        assert ([], [], ["close"]) == tuple(seen.header("connection") for seen in (one, two, more))
    assert (1, 1, 2) == (one.connections, two.connections, more.connections)


async def test_a_closed_port_is_told(client: EgressClient) -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()

    assert Fault.UNREACHABLE is await fault(client, port)


@pytest.mark.parametrize(
    ("names", "ended"), [(("other.example",), dt.timedelta()), (("receiver.example",), dt.timedelta(days=3))]
)
async def test_a_certificate_for_another_name_or_time_is_refused(
    client: EgressClient, authority: Authority, names: tuple[str, ...], ended: dt.timedelta
) -> None:
    async with receiver(authority.server(*names, ended=ended), answering(OK)) as seen:
        assert Fault.CERTIFICATE_REFUSED is await fault(client, seen.port)
    assert [] == seen.requests


async def test_a_certificate_of_an_unknown_authority_is_refused(
    open_client: OpenClient, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    async with receiver(tls, answering(OK)) as seen, open_client(trusted=Authority(tmp_path).path) as client:
        assert Fault.CERTIFICATE_REFUSED is await fault(client, seen.port)
    assert [] == seen.requests


async def test_a_certificate_for_an_address_is_verified_too(client: EgressClient, authority: Authority) -> None:
    async with receiver(authority.server(NAME), answering(OK)) as seen:
        assert Fault.CERTIFICATE_REFUSED is await fault(client, seen.port, host="127.0.0.1")


async def test_a_receiver_without_tls_is_told(client: EgressClient) -> None:
    async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(chat, "127.0.0.1") as server:
        assert Fault.TLS_FAILED is await fault(client, server.sockets[0].getsockname()[1])


async def test_a_client_certificate_is_shown_to_its_endpoint_only(client: EgressClient, authority: Authority) -> None:
    asking = authority.server(NAME, asks=True)
    certificate, key = authority.issue("mailmesh.example")
    identity = client.identity(certificate, Secret(key))

    async with receiver(asking, answering(OK)) as seen:
        assert Fault.CONNECTION_LOST is await fault(client, seen.port)
        assert [200, 200] == [(await post(client, seen.port, tls=identity)).status for _ in range(2)]
        assert Fault.CONNECTION_LOST is await fault(client, seen.port)
    assert (2, ((("commonName", "mailmesh.example"),),)) == (len(seen.requests), seen.peers[0]["subject"])


async def test_a_client_certificate_with_another_key_is_refused(client: EgressClient, authority: Authority) -> None:
    certificate, _ = authority.issue("mailmesh.example")
    _, other = authority.issue("mailmesh.example")

    for text in (other, "no key", other.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")):
        with pytest.raises(EgressError, match="belong together") as refused:
            client.identity(certificate, Secret(text))
        assert other not in repr(refused.value)
