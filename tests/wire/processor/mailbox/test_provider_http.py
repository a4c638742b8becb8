"""Answers of a provider, on real TLS: each is accepted or refused by name, in bounded time and memory."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from services.meshkit.secret import Secret
from services.processor.calendar.writing import failures as writing
from services.processor.mail.sources.reading import read_answer
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.parsing import MAX_PARSED_BYTES
from services.processor.mailbox.provider_http import JSON, ProviderHttp
from services.processor.outbox import mailbox
from services.providers.failures import Meaning
from stack.certificates import MeshCertificates

MAX_BYTES = 1024 * 1024
TIMEOUT_SECONDS = 0.5
TOKEN = Secret("the-token")


@dataclass
class Provider:
    """A server that writes the answer that a test sets.

    Attributes:
        url: Its address.
        http: Processor's connections, which trust it.
        heads: The heads of the requests that it received.
        connections: How many connections were opened.
        long: How many answers were handed to a process.
    """

    url: str
    http: ProviderHttp
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    long: int = 0

    async def get(self, path: str = "/v1.0/me", **more: object) -> JSON:
        """Request a path."""
        return await self.http.call("ms365", "test", "GET", f"{self.url}{path}", TOKEN, **more)  # type: ignore[arg-type]


Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def provider(
    certificates: MeshCertificates, answer: Answer, max_bytes: int = MAX_BYTES
) -> AsyncIterator[Provider]:
    """Serve each request with the same answer."""
    identity = certificates.identity("simulator")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(identity.certificate, identity.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                made.heads.append(head.decode())
                await answer(writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client has disconnected
        finally:
            writer.close()

    async def read_long(name: str, raw: bytes) -> JSON | None:
        made.long += 1
        return await read_answer(name, raw)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with ProviderHttp.open(
        authority=identity.authority,
        connections=4,
        timeout_seconds=TIMEOUT_SECONDS,
        max_bytes=max_bytes,
        read_long=read_long,
    ) as http:
        made = Provider(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", http)
        yield made
    server.close()


def with_body(body: bytes, *headers: str, status: str = "200 OK") -> Answer:
    """Return an answer with a body."""
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers))

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"{head}\r\n\r\n".encode() + body)
        await writer.drain()

    return answer


async def refusal(made: Provider) -> SourceError:
    """Return the failure of a request."""
    with pytest.raises(SourceError) as raised:
        await made.get()
    return raised.value


async def test_a_packed_answer_is_asked_for_and_unpacked(certificates: MeshCertificates) -> None:
    async with provider(certificates, with_body(gzip.compress(b'{"id": 1}'), "Content-Encoding: gzip")) as made:
        assert {"id": 1} == await made.get()

    assert "accept-encoding: gzip" in made.heads[0].lower()
    assert "gzip" in made.heads[0].lower().split("user-agent:")[1].splitlines()[0]


async def test_a_small_answer_that_unpacks_to_a_large_one_is_refused(certificates: MeshCertificates) -> None:
    packed = gzip.compress(b'{"id": "' + b"x" * 100 * MAX_BYTES + b'"}')

    async with provider(certificates, with_body(packed, "Content-Encoding: gzip")) as made:
        assert "answer_too_large" in str(await refusal(made))
    assert len(packed) < MAX_BYTES


async def test_an_answer_over_the_bound_is_refused(certificates: MeshCertificates) -> None:
    async with provider(certificates, with_body(b'{"id": "' + b"x" * MAX_BYTES + b'"}')) as made:
        assert "answer_too_large" in str(await refusal(made))


@pytest.mark.parametrize("is_long", [False, True])
async def test_a_long_answer_about_mail_is_left_unparsed(certificates: MeshCertificates, is_long: bool) -> None:
    body = b'{"id": "' + b"x" * (MAX_PARSED_BYTES if is_long else 9) + b'"}'
    async with provider(certificates, with_body(body)) as made:
        found = await made.http.fetch("ms365", "test", "GET", f"{made.url}/v1.0/me", TOKEN)

    assert (body if is_long else {"id": "x" * 9}) == found


@pytest.mark.parametrize("is_long", [False, True])
async def test_a_long_answer_of_any_call_is_parsed_beside_the_event_loop(
    certificates: MeshCertificates, is_long: bool
) -> None:
    text = "ü" * (MAX_PARSED_BYTES if is_long else 9)
    body = b'{"value": [{"id": "%b"}, {"id": "half \\ud83d"}]}' % text.encode()
    async with provider(certificates, with_body(body)) as made:
        found = await made.get()

    assert {"value": [{"id": text}, {"id": "half \ud83d"}]} == found
    assert int(is_long) == made.long


@pytest.mark.parametrize("body", [b"[" * (MAX_PARSED_BYTES + 1), b'"%b"' % (b"x" * MAX_PARSED_BYTES)])
async def test_a_long_answer_that_is_no_object_fails_as_a_short_one_does(
    certificates: MeshCertificates, body: bytes
) -> None:
    async with provider(certificates, with_body(body)) as made:
        with pytest.raises(SourceError, match="answer_is_no_json"):
            await made.get()
        assert {} == await made.get(success=200)


async def test_an_unreadable_answer_to_a_successful_change_leaves_a_doubt(certificates: MeshCertificates) -> None:
    body = b'{"value": [%b]}' % b",".join([b"1"] * 1_100_000)
    async with provider(certificates, with_body(body), max_bytes=2 * len(body)) as made:
        read = await refusal(made)
        with pytest.raises(SourceError) as raised:
            await made.http.call("ms365", "test", "POST", f"{made.url}/v1.0/me", TOKEN, success=200)

    change = raised.value
    assert (413, Remedy.PERMANENT) == (read.status, read.remedy)
    assert (0, Meaning.PASSING, read.code) == (change.status, change.meaning, change.code)
    for meaning_of in (writing, mailbox):
        assert not meaning_of.is_unprocessed(change)
        assert not meaning_of.is_refused(change)


@pytest.mark.parametrize("body", [b'{"id": ', b'{"error": {"code": "' + b"x" * MAX_PARSED_BYTES + b'"}}'])
async def test_an_answer_about_mail_that_is_no_success_fails(certificates: MeshCertificates, body: bytes) -> None:
    status = "200 OK" if len(body) < MAX_PARSED_BYTES else "503 Service Unavailable"
    async with provider(certificates, with_body(body, status=status)) as made:
        with pytest.raises(SourceError) as raised:
            await made.http.fetch("ms365", "test", "GET", f"{made.url}/v1.0/me", TOKEN)

    assert Remedy.LATER is raised.value.remedy


async def test_the_token_goes_nowhere_but_to_where_it_was_meant_for(certificates: MeshCertificates) -> None:
    moved = with_body(b"{}", "Location: /elsewhere", status="302 Found")

    async with provider(certificates, moved) as made:
        await refusal(made)
    assert ["GET /v1.0/me HTTP/1.1"] == [head.splitlines()[0] for head in made.heads]


async def test_cookies_of_one_mailbox_are_not_shown_for_another(certificates: MeshCertificates) -> None:
    async with provider(certificates, with_body(b"{}", "Set-Cookie: affinity=one; Path=/")) as made:
        await made.get()
        await made.get()

    assert ([False, False], 1) == (["cookie:" in head.lower() for head in made.heads], made.connections)


async def test_a_link_of_the_provider_is_sent_as_it_was_written(certificates: MeshCertificates) -> None:
    link = "/v1.0/me/messages/delta?$deltatoken=a%2Bb%3d%3D&%24select=id%2cchangeKey&x=%7E'()"
    async with provider(certificates, with_body(b"{}")) as made:
        await made.get(link)

    assert f"GET {link} HTTP/1.1" == made.heads[0].splitlines()[0]


@pytest.mark.parametrize("link", ["/a b", "/a\r\nX-Evil: 1", "/ä", "/a\0b"])
async def test_an_invalid_url_is_refused_before_it_is_requested(certificates: MeshCertificates, link: str) -> None:
    async with provider(certificates, with_body(b"{}")) as made:
        with pytest.raises(SourceError, match="url_is_no_url"):
            await made.get(link)

    assert [] == made.heads


@pytest.mark.parametrize("url", ["https://[::1", "https://127.0.0.1:99999/", "https://", "https://127.0.0.1:1/"])
async def test_an_address_that_leads_nowhere_is_retried_later(certificates: MeshCertificates, url: str) -> None:
    async with provider(certificates, with_body(b"{}")) as made:
        with pytest.raises(SourceError) as raised:
            await made.http.call("ms365", "test", "GET", url, TOKEN)

    assert Remedy.LATER is raised.value.remedy


async def test_an_answer_that_comes_byte_by_byte_has_an_end(certificates: MeshCertificates) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(TIMEOUT_SECONDS / 10)

    async with asyncio.timeout(30), provider(certificates, drip) as made:
        assert Remedy.LATER is (await refusal(made)).remedy


@pytest.mark.parametrize(
    "sent",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", b"not HTTP at all\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
     b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"],
    ids=["nothing", "half a head", "half a body", "no http", "no gzip", "a huge header"],
)  # fmt: skip
async def test_a_broken_answer_is_tried_later(certificates: MeshCertificates, sent: bytes) -> None:
    async def breaks(writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        writer.close()

    async with provider(certificates, breaks) as made:
        assert Remedy.LATER is (await refusal(made)).remedy


async def test_a_connection_is_used_again(certificates: MeshCertificates) -> None:
    async with provider(certificates, with_body(b"{}")) as made:
        for _ in range(5):
            await made.get()

    assert (5, 1) == (len(made.heads), made.connections)
