"""A provider whose answers are hostile: each is one named failure, in bounded time and memory."""

import asyncio
import gzip
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret
from services.token_vault.errors import ProviderUnavailable
from services.token_vault.issuers.http import ANSWER_BYTES, LibraryHttp, ProviderApi, trust
from services.token_vault.sign_in.browser_secrets import BrowserSecrets
from services.token_vault.sign_in.provider import IdentityProvider, Person, Registration
from tests.factories.receivers import Authority, Receiver, receiver

SECONDS = 1.0
CONFIGURATION, TOKEN, KEYS = "/.well-known/openid-configuration", "/token", "/keys"
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLISHED = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key())) | {"kid": "1", "alg": "ES256"}


def answer_of(body: bytes, *headers: str) -> bytes:
    return "\r\n".join(("HTTP/1.1 200 OK", f"content-length: {len(body)}", *headers, "", "")).encode() + body


HOSTILE = {
    "deep list": b"[" * 200_000,
    "deep object": b'{"a":' * 200_000,
    "no utf-8": b"\xff\xfe",
    "no object": b"[]",
    "lone surrogates": b'{"issuer":"\\ud800","id_token":"\\ud800","keys":[{"kid":"\\ud800"}]}',
    "no numbers": b'{"issuer":NaN,"id_token":Infinity,"keys":1e999}',
    "long number": b'{"issuer":' + b"9" * 6000 + b"}",
}


class Idp:
    """An identity provider; what it answers by path is a document, bytes, or a whole answer with its head."""

    def __init__(self) -> None:
        self.url = ""
        self.browser = BrowserSecrets.new()
        self.answers: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}

    def serve_at(self, url: str) -> None:
        self.url = url
        names = {"authorization_endpoint": "/authorize", "token_endpoint": TOKEN, "jwks_uri": KEYS}
        self.answers[CONFIGURATION] = {"issuer": url} | {name: url + path for name, path in names.items()}
        self.answers[KEYS] = {"keys": [PUBLISHED]}

    async def behave(self, request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = request.split(b" ", 2)[1].decode()
        given = self.answers.get(path) or {"id_token": self.id_token()}
        if isinstance(given, dict):
            given = answer_of(json.dumps(given).encode())
        writer.write(given if given.startswith(b"HTTP/1.1") else answer_of(given))
        await writer.drain()

    def id_token(self) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "aud": "client", "sub": "person", "iat": now, "exp": now + 60}
        return jwt.encode(
            claims | {"nonce": self.browser.nonce} | self.claims, KEY, algorithm="ES256", headers={"kid": "1"}
        )


Ask = Callable[[IdentityProvider, BrowserSecrets], Awaitable[str | Person]]


async def url_of(provider: IdentityProvider, browser: BrowserSecrets) -> str:
    return await provider.authorization_url(browser)


async def person_of(provider: IdentityProvider, browser: BrowserSecrets) -> Person:
    return await provider.person("code", browser)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def asked(authority: Authority, idp: Idp, ask: Ask, **configuration: Any) -> str | Person:
    async with receiver(authority.server("127.0.0.1"), idp.behave) as server:
        answers = dict(idp.answers)
        idp.serve_at(f"https://127.0.0.1:{server.port}")
        idp.answers[CONFIGURATION] |= configuration
        idp.answers |= answers
        api = ProviderApi("sign-in", trust(authority.path), SECONDS)
        at = Registration(idp.url, "client", Secret("secret"), "https://mesh.example/", ("openid",), "groups")
        provider = IdentityProvider(at, api)
        try:
            return await ask(provider, idp.browser)
        finally:
            await provider.close()


async def test_an_honest_provider_is_understood(authority: Authority) -> None:
    found = await asked(authority, Idp(), person_of)

    assert isinstance(found, Person)
    assert "person" == found.subject


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("path", [CONFIGURATION, TOKEN, KEYS])
async def test_each_answer_that_is_no_document_is_one_named_failure(authority: Authority, path: str, name: str) -> None:
    idp = Idp()
    idp.answers[path] = HOSTILE[name]
    with pytest.raises(MeshError):
        await asked(authority, idp, person_of)


@pytest.mark.parametrize(
    "address",
    ["https://[", "https://x/\r\nset-cookie: a=b", "https://x/\0", "https://x/\u202e", "https:// ",
     "https://x:99999/", "https://x/" + "y" * 3000, "http://x/", "https://", "https:///x", 5, ["https://x/"], None],
    ids=lambda address: repr(address)[:24].encode("ascii", "replace").decode(),
)  # fmt: skip
@pytest.mark.parametrize("field", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
async def test_an_address_that_no_request_can_use_is_named(authority: Authority, field: str, address: object) -> None:
    with pytest.raises(MeshError) as failed:
        await asked(authority, Idp(), url_of, **{field: address})

    assert ("INSTALLATION_MISCONFIGURED", field) == (failed.value.reason, failed.value.metadata.get("detail"))


@pytest.mark.parametrize("methods", [5, "client_secret_post", {"a": 1}, [[1]], [None]], ids=repr)
async def test_methods_in_no_form_of_the_standard_are_passed_over(authority: Authority, methods: object) -> None:
    assert await asked(authority, Idp(), person_of, token_endpoint_auth_methods_supported=methods)


@pytest.mark.parametrize("subject", ["\ud800", "a\0b", "x" * 256, ""], ids=["surrogate", "nul", "long", "empty"])
async def test_a_subject_that_no_store_can_hold_is_no_person(authority: Authority, subject: str) -> None:
    idp = Idp()
    idp.claims["sub"] = subject
    with pytest.raises(MeshError) as failed:
        await asked(authority, idp, person_of)

    assert ("IDENTITY_UNPROVEN", "claims") == (failed.value.reason, failed.value.metadata["detail"])


@pytest.mark.parametrize("algorithm", [["ES256"], "none", "HS256", 5, {}, ""], ids=repr)
async def test_a_key_of_a_strange_algorithm_is_unknown(authority: Authority, algorithm: object) -> None:
    idp = Idp()
    idp.answers[KEYS] = {"keys": [PUBLISHED | {"alg": algorithm}]}
    with pytest.raises(MeshError) as failed:
        await asked(authority, idp, person_of)

    assert ("IDENTITY_UNPROVEN", "key_id") == (failed.value.reason, failed.value.metadata["detail"])


async def drip(_request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Give a byte before each wait for one has ended."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(SECONDS / 4)


async def flood(_request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, packed: bool) -> None:
    body = b"x" * (4 * ANSWER_BYTES)
    writer.write(answer_of(gzip.compress(body), "content-encoding: gzip") if packed else answer_of(body))
    await writer.drain()


async def by_api(authority: Authority, server: Receiver) -> None:
    api = ProviderApi("sign-in", trust(authority.path), SECONDS)
    try:
        await api.get(f"https://127.0.0.1:{server.port}/")
    finally:
        await api.close()


async def by_library(authority: Authority, server: Receiver) -> None:
    http = LibraryHttp("ms365", trust(authority.path), SECONDS)
    await asyncio.to_thread(http.get, f"https://127.0.0.1:{server.port}/")


@pytest.mark.parametrize("call", [by_api, by_library])
@pytest.mark.parametrize(
    "behave", [drip, partial(flood, packed=False), partial(flood, packed=True)], ids=["slow", "long", "packed"]
)
async def test_an_answer_is_bounded_in_time_and_size(
    authority: Authority, behave: Any, call: Callable[[Authority, Receiver], Awaitable[None]]
) -> None:
    async with receiver(authority.server("127.0.0.1"), behave) as server:
        async with asyncio.timeout(60):
            with pytest.raises(ProviderUnavailable):
                await call(authority, server)


@pytest.mark.parametrize("packed", [False, True])
async def test_a_library_gets_a_bounded_answer_as_before(authority: Authority, packed: bool) -> None:
    body = b'{"access_token": "a"}'
    given = answer_of(gzip.compress(body), "content-encoding: gzip") if packed else answer_of(body)

    async def behave(_request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(given)
        await writer.drain()

    async with receiver(authority.server("127.0.0.1"), behave) as server:
        http = LibraryHttp("ms365", trust(authority.path), SECONDS)
        for _ in range(2):
            answer = await asyncio.to_thread(http.get, f"https://127.0.0.1:{server.port}/")
            assert (200, body, {"access_token": "a"}) == (answer.status_code, answer.content, answer.json())
