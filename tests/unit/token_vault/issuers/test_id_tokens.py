"""Id tokens: what verifies, and everything that must not."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from services.meshkit.published_keys import PublishedKeys
from services.token_vault.errors import IdentityUnproven, ProviderUnavailable
from services.token_vault.issuers.http import Answer
from services.token_vault.issuers.id_tokens import Expected, published_keys, verified_claims

OURS, THEIRS = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EXPECTED = Expected("client", lambda claims: claims.get("iss") == "https://issuer", "nonce", ("oid",))


class Published:
    """A provider's key set, and how often it was asked for."""

    def __init__(self, *keys: tuple[str | None, Any]) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.is_away = False

    async def get(self, url: str) -> Answer:
        self.asked += 1
        if self.is_away:
            raise ProviderUnavailable
        return Answer(200, {"keys": [_jwk(key_id, key) for key_id, key in self.keys]})


def _jwk(key_id: str | None, key: Any) -> dict[str, Any]:
    public: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    named = {"kid": key_id} if key_id else {}
    return {**public, **named, "use": "sig", "alg": "RS256"}


async def _url() -> str:
    return "https://keys"


def keys_of(published: Published) -> PublishedKeys:
    return published_keys(published, _url)  # type: ignore[arg-type]


def passes(keys: PublishedKeys, seconds: float) -> None:
    """Let time pass since the last fetch, and since the last attempt."""
    keys._fetched_at -= seconds
    keys._tried_at -= seconds


def token(key: Any = OURS, key_id: str | None = "k1", algorithm: str = "RS256", **changes: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": "https://issuer",
        "aud": "client",
        "sub": "s",
        "oid": "o",
        "nonce": "nonce",
        "iat": now,
        "exp": now + 60,
    }
    claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": key_id} if key_id else None)


async def test_a_good_token_gives_its_claims() -> None:
    claims = await verified_claims(keys_of(Published(("k1", OURS))), token(), EXPECTED, "ms365")

    assert "o" == claims["oid"]


@pytest.mark.parametrize("offset", [-290, 290])
async def test_clocks_may_differ_by_five_minutes(offset: int) -> None:
    now = int(time.time()) + offset
    late = token(iat=now, nbf=now, exp=now + 1)

    assert await verified_claims(keys_of(Published(("k1", OURS))), late, EXPECTED, "ms365")


def _unsigned() -> str:
    parts = ({"alg": "none", "kid": "k1"}, jwt.decode(token(), options={"verify_signature": False}))
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


@pytest.mark.parametrize(
    ("made", "check"),
    [
        pytest.param(lambda: token(THEIRS), "signature", id="another key"),
        pytest.param(lambda: token(key_id="unknown"), "key_id", id="unknown key id"),
        pytest.param(lambda: token(aud="another client"), "audience", id="another audience"),
        pytest.param(lambda: token(aud=None), "audience", id="no audience"),
        pytest.param(lambda: token(iss="https://another"), "issuer", id="another issuer"),
        pytest.param(lambda: token(iss=None), "issuer", id="no issuer"),
        pytest.param(lambda: token(nonce="another"), "nonce", id="another nonce"),
        pytest.param(lambda: token(nonce=None), "nonce", id="no nonce"),
        pytest.param(lambda: token(oid=None), "claims", id="no object id"),
        pytest.param(lambda: token(sub=7), "claims", id="a subject that is no text"),
        pytest.param(lambda: token(exp=int(time.time()) - 310), "time", id="expired"),
        pytest.param(lambda: token(exp=None), "time", id="without an end"),
        pytest.param(
            lambda: token(iat=int(time.time()) + 400, nbf=int(time.time()) + 400), "time", id="from the future"
        ),
        pytest.param(lambda: token(b"k" * 32, algorithm="HS256"), "algorithm", id="symmetric"),
        pytest.param(_unsigned, "algorithm", id="unsigned"),
        pytest.param(lambda: token()[:-6], "signature", id="cut"),
        pytest.param(lambda: "nonsense", "format", id="nonsense"),
        pytest.param(lambda: "", "format", id="empty"),
    ],
)
async def test_a_token_that_fails_a_check_is_refused_by_the_name_of_the_check(
    made: Callable[[], str], check: str
) -> None:
    text = made()

    with pytest.raises(IdentityUnproven) as error:
        await verified_claims(keys_of(Published(("k1", OURS))), text, EXPECTED, "ms365")

    assert {"provider": "ms365", "detail": check} == error.value.metadata
    assert not text or text not in str(error.value)


async def test_an_access_token_needs_an_audience_and_no_nonce() -> None:
    keys = keys_of(Published(("k1", OURS)))
    resource = Expected("https://mesh.example/mcp", EXPECTED.is_issuer, None)

    claims = await verified_claims(keys, token(aud="https://mesh.example/mcp", nonce=None), resource, "sign-in")
    assert "s" == claims["sub"]
    for audience in (None, "", "client", [], ["https://mesh.example/mcp/"]):
        with pytest.raises(IdentityUnproven) as error:
            await verified_claims(keys, token(aud=audience, nonce=None), resource, "sign-in")
        assert "audience" == error.value.metadata["detail"]


async def test_one_fetch_serves_all_who_wait_and_survives_those_who_give_up() -> None:
    published, goes_on = Published(("k1", OURS)), asyncio.Event()
    get = published.get

    async def slow(url: str) -> Answer:
        await goes_on.wait()
        return await get(url)

    published.get = slow  # type: ignore[method-assign]
    keys = keys_of(published)
    waiting = [asyncio.create_task(keys.key("k1")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    goes_on.set()

    found = await asyncio.gather(*waiting, return_exceptions=True)

    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1] is found[2] is not None
    assert 1 == published.asked


async def test_a_failed_fetch_fails_all_who_wait_and_a_later_one_tries_again() -> None:
    published = Published(("k1", OURS))
    published.is_away = True
    keys = keys_of(published)

    found = await asyncio.gather(*(keys.key("k1") for _ in range(3)), return_exceptions=True)
    published.is_away = False

    assert {ProviderUnavailable} == {type(one) for one in found}
    passes(keys, 3)
    assert await keys.key("k1")


@pytest.mark.parametrize(("known", "seconds"), [((), 3), ((("k1", OURS),), 31)], ids=["no keys yet", "known keys"])
async def test_tokens_of_strangers_make_few_fetches_during_an_outage(known: tuple[Any, ...], seconds: int) -> None:
    published = Published(("k1", OURS))
    keys = keys_of(published)
    if known:
        await keys.key("k1")
        passes(keys, 60)
    published.is_away, published.asked = True, 0

    for key_id in ("x", "y", None):
        with pytest.raises(ProviderUnavailable):
            await verified_claims(keys, token(key_id=key_id), EXPECTED, "ms365")
    assert 1 == published.asked
    assert not known or await verified_claims(keys, token(), EXPECTED, "ms365")
    passes(keys, seconds)
    with pytest.raises(ProviderUnavailable):
        await keys.key("z")

    assert 2 == published.asked


async def test_keys_of_more_than_an_hour_ago_are_not_used_during_an_outage() -> None:
    published = Published(("k1", OURS))
    keys = keys_of(published)
    await keys.key("k1")
    passes(keys, 3601)
    published.is_away = True

    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            await keys.key("k1")
    assert 2 == published.asked


async def test_a_token_without_a_key_id_is_accepted_beside_a_single_key() -> None:
    """OpenID Connect Core 1.0, section 10.1: only a set of several keys requires the id."""
    named, unnamed = Published(("k1", OURS)), Published((None, OURS))

    for published in (named, unnamed):
        claims = await verified_claims(keys_of(published), token(key_id=None), EXPECTED, "googlews")
        assert "o" == claims["oid"]


@pytest.mark.parametrize(
    ("published", "check"),
    [
        (Published(("k1", OURS), ("k2", THEIRS)), "key_id"),
        (Published(("k1", THEIRS)), "signature"),
        (Published(), "key_id"),
    ],
    ids=["several keys", "a single key of another", "no key"],
)
async def test_a_token_without_a_key_id_is_refused_beside_other_keys(published: Published, check: str) -> None:
    with pytest.raises(IdentityUnproven) as error:
        await verified_claims(keys_of(published), token(key_id=None), EXPECTED, "googlews")

    assert check == error.value.metadata["detail"]


async def test_a_single_key_that_was_replaced_is_found_without_an_id() -> None:
    published = Published(("k1", THEIRS))
    keys = keys_of(published)
    await keys.only_key()
    published.keys = [("k2", OURS)]
    passes(keys, 60)

    assert await verified_claims(keys, token(key_id=None), EXPECTED, "googlews")
    assert 2 == published.asked


async def test_keys_are_fetched_once_and_again_for_a_new_key_but_not_for_every_invention() -> None:
    published = Published(("k1", OURS))
    keys = keys_of(published)
    for _ in range(3):
        await keys.key("k1")
    for invented in ("x", "y", "z"):
        assert None is await keys.key(invented)
    passes(keys, 60)
    published.keys.append(("k2", THEIRS))

    assert await keys.key("k2") is not None
    assert 2 == published.asked
