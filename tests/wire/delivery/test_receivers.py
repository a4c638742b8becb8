"""Receivers that ask for a client certificate or an access token, on real TLS, by the guarded way out."""

import asyncio
import base64
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from services.delivery.endpoints import access
from services.delivery.endpoints.secrets import KeptKey, Sealer
from services.delivery.sending.receivers import Receivers
from services.delivery.signing_keys import HmacKey
from services.delivery.store.rows import EndpointRow
from services.egress.client import EgressClient
from services.egress.faults import EgressError, Fault
from services.meshkit.secret import Secret
from tests.factories.receivers import OK, Authority, Receiver, answering, receiver
from tests.unit.delivery.test_schedule import endpoint
from tests.wire.egress.conftest import OpenClient, authority, client, open_client

__all__ = ["authority", "client", "open_client"]
SEALER = Sealer({"one": os.urandom(32)})
REFUSED = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"
HEADERS = {"content-type": "application/json"}


def answer(status: int, **fields: Any) -> bytes:
    body = json.dumps(fields).encode()
    return b"HTTP/1.1 %d x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        status,
        len(body),
        body,
    )


def token(text: str, **more: Any) -> bytes:
    return answer(200, access_token=text, token_type="Bearer", **{"expires_in": 3600, **more})


def row_of(port: int, shown: access.Access, **values: Any) -> EndpointRow:
    row = endpoint(url=f"https://receiver.example:{port}/hooks", timeout_ms=5000, **values)
    sealed = SEALER.seal(row.endpoint_id, [KeptKey(HmacKey.generate())], {"x-team": Secret("support")}, shown)
    return replace(row, **vars(sealed))


def with_tokens(port: int, tokens: Receiver, **changes: Any) -> EndpointRow:
    fields = {"client_id": "me sh", "client_secret": Secret("wo:rd+"), "scope": "hooks.write", **changes}
    given = access.ClientCredentials(token_url=f"https://receiver.example:{tokens.port}/token", **fields)
    return row_of(port, access.Access(client_credentials=given))


async def test_a_receiver_that_demands_a_client_certificate_gets_it(client: EgressClient, authority: Authority) -> None:
    certificate, key = authority.issue("mesh.example")
    kept = access.certificate(pb2.EndpointClientCertificate(certificate=certificate, key=key), datetime.now(UTC))
    demanding = authority.server("receiver.example", asks=True)
    async with receiver(demanding, answering(OK)) as seen:
        receivers = Receivers(client, SEALER)
        with_certificate = row_of(seen.port, access.Access(client_certificate=kept))
        for _ in range(2):
            assert (await receivers.post(with_certificate, b"{}", HEADERS)).status == 200
        # Both go over one connection, and an endpoint without the certificate gets another one, and is turned away.
        assert seen.connections == 1
        with pytest.raises(EgressError) as lost:
            await receivers.post(row_of(seen.port, access.Access()), b"{}", HEADERS)

    assert lost.value.fault in (Fault.CONNECTION_LOST, Fault.TLS_FAILED)
    assert ((("commonName", "mesh.example"),),) == seen.peers[0]["subject"]
    assert (["support"], 2) == (seen.header("x-team"), len(seen.requests))


async def test_a_token_is_asked_for_once_and_sent_with_each_webhook(client: EgressClient, authority: Authority) -> None:
    tls = authority.server("receiver.example")
    async with receiver(tls, answering(token("first"))) as tokens, receiver(tls, answering(OK)) as seen:
        row, receivers = with_tokens(seen.port, tokens), Receivers(client, SEALER)
        await asyncio.gather(*(receivers.post(row, b"{}", HEADERS) for _ in range(10)))

    assert (1, 10) == (len(tokens.requests), len(seen.requests))
    assert {("Bearer first",)} == {tuple(seen.header("authorization", number)) for number in range(10)}
    [basic] = tokens.header("authorization")
    assert b"me+sh:wo%3Ard%2B" == base64.b64decode(basic.removeprefix("Basic "))
    body = parse_qs(tokens.requests[0].partition(b"\r\n\r\n")[2].decode())
    assert {"grant_type": ["client_credentials"], "scope": ["hooks.write"]} == body
    assert tokens.header("x-team") == []


async def test_a_token_that_the_receiver_refuses_is_replaced_once(client: EgressClient, authority: Authority) -> None:
    tls = authority.server("receiver.example")
    given = answering(token("first"), token("second"), token("third"))
    async with receiver(tls, given) as tokens, receiver(tls, answering(REFUSED, OK, REFUSED)) as seen:
        row, receivers = with_tokens(seen.port, tokens), Receivers(client, SEALER)
        first = await receivers.post(row, b"{}", HEADERS)
        second = await receivers.post(row, b"{}", HEADERS)

    assert (200, 401) == (first.status, second.status)
    sent = [seen.header("authorization", number)[0].removeprefix("Bearer ") for number in range(4)]
    assert ["first", "second", "second", "third"] == sent


async def test_a_token_is_used_until_shortly_before_its_end(client: EgressClient, authority: Authority) -> None:
    tls = authority.server("receiver.example")
    given = answering(token("short", expires_in=30), token("long", expires_in="90"))
    async with receiver(tls, given) as tokens, receiver(tls, answering(OK)) as seen:
        row, receivers = with_tokens(seen.port, tokens), Receivers(client, SEALER)
        for _ in range(3):
            await receivers.post(row, b"{}", HEADERS)

    sent = [seen.header("authorization", number)[0].removeprefix("Bearer ") for number in range(3)]
    assert ["short", "long", "long"] == sent


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (answer(400, error="invalid_client"), Fault.TOKEN_REFUSED),
        (answer(401, error="invalid_client"), Fault.TOKEN_REFUSED),
        (answer(302), Fault.TOKEN_REFUSED),
        (answer(200, access_token="x", token_type="mac"), Fault.TOKEN_REFUSED),
        (answer(200, access_token="line\r\nbreak", token_type="bearer"), Fault.TOKEN_REFUSED),
        (answer(200, access_token="x" * 5000, token_type="bearer"), Fault.TOKEN_REFUSED),
        (token("x", expires_in=-5), Fault.TOKEN_REFUSED),
        (token("x", expires_in="soon"), Fault.TOKEN_REFUSED),
        (token("x", expires_in={"a": 1}), Fault.TOKEN_REFUSED),
        (token("x", expires_in=10**400), Fault.TOKEN_REFUSED),
        (token("x", expires_in=10**400).replace(b"1" + b"0" * 400, b"1e999".rjust(401)), Fault.TOKEN_REFUSED),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n" + b"[" * 9000, Fault.TOKEN_REFUSED),
        (answer(200, token_type="bearer"), Fault.TOKEN_REFUSED),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull", Fault.TOKEN_REFUSED),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", Fault.TOKEN_REFUSED),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\xff\xfe", Fault.TOKEN_REFUSED),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n" + b"[" * 99999, Fault.TOKEN_REFUSED),
        (answer(429), Fault.TOKEN_UNAVAILABLE),
        (answer(503), Fault.TOKEN_UNAVAILABLE),
    ],
)
async def test_a_webhook_without_a_token_is_not_sent(
    client: EgressClient, authority: Authority, given: bytes, fault: Fault
) -> None:
    tls = authority.server("receiver.example")
    async with receiver(tls, answering(given)) as tokens, receiver(tls, answering(OK)) as seen:
        receivers = Receivers(client, SEALER)
        with pytest.raises(EgressError) as failed:
            await receivers.post(with_tokens(seen.port, tokens), b"{}", HEADERS)

    assert (fault, []) == (failed.value.fault, seen.requests)
    assert "wo:rd" not in str(failed.value)


async def test_the_token_endpoint_is_dialled_by_the_guarded_way(open_client: OpenClient, authority: Authority) -> None:
    tls = authority.server("receiver.example")
    async with (
        receiver(tls, answering(token("x"))) as tokens,
        receiver(tls, answering(OK)) as seen,
        open_client(own=("192.0.2.1",)) as client,
    ):
        with pytest.raises(EgressError) as refused:
            await Receivers(client, SEALER).post(with_tokens(seen.port, tokens), b"{}", HEADERS)

    assert (Fault.TOKEN_UNAVAILABLE, 0, 0) == (refused.value.fault, tokens.connections, seen.connections)


async def test_a_silent_token_endpoint_ends_with_the_endpoints_deadline(
    client: EgressClient, authority: Authority
) -> None:
    tls, silence = authority.server("receiver.example"), asyncio.Event()

    async def wait(*_: object) -> None:
        await silence.wait()

    async with receiver(tls, wait) as tokens, receiver(tls, answering(OK)) as seen:
        row = replace(with_tokens(seen.port, tokens), timeout_ms=300)
        with pytest.raises(EgressError) as late:
            await Receivers(client, SEALER).post(row, b"{}", HEADERS)
        silence.set()

    assert (Fault.TOKEN_UNAVAILABLE, []) == (late.value.fault, seen.requests)
