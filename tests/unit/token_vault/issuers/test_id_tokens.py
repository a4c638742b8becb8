"""Id tokens: what verifies, and everything that must not."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from services.token_vault.errors import IdentityUnproven
from services.token_vault.issuers.http import Answer
from services.token_vault.issuers.id_tokens import Expected, PublishedKeys, verified_claims

OURS, THEIRS = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EXPECTED = Expected("client", lambda claims: claims.get("iss") == "https://issuer", "nonce", ("oid",))


class Published:
    """A provider's key set, and how often it was asked for."""

    def __init__(self, *keys: tuple[str, Any]) -> None:
        self.keys = list(keys)
        self.asked = 0

    async def get(self, url: str) -> Answer:
        self.asked += 1
        return Answer(200, {"keys": [_jwk(key_id, key) for key_id, key in self.keys]})


def _jwk(key_id: str, key: Any) -> dict[str, Any]:
    public: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    return {**public, "kid": key_id, "use": "sig", "alg": "RS256"}


async def _url() -> str:
    return "https://keys"


def keys_of(published: Published) -> PublishedKeys:
    return PublishedKeys(published, _url)  # type: ignore[arg-type]


def token(key: Any = OURS, key_id: str = "k1", algorithm: str = "RS256", **changes: Any) -> str:
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
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": key_id})


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
    "made",
    [
        lambda: token(THEIRS),
        lambda: token(key_id="unknown"),
        lambda: token(aud="another client"),
        lambda: token(iss="https://another"),
        lambda: token(nonce="another"),
        lambda: token(nonce=None),
        lambda: token(oid=None),
        lambda: token(exp=int(time.time()) - 310),
        lambda: token(iat=int(time.time()) + 400, nbf=int(time.time()) + 400),
        lambda: token(b"k" * 32, algorithm="HS256"),
        _unsigned,
        lambda: token()[:-4],
        lambda: "nonsense",
        lambda: "",
    ],
    ids=[
        "another key",
        "unknown key id",
        "another audience",
        "another issuer",
        "another nonce",
        "no nonce",
        "no object id",
        "expired",
        "from the future",
        "symmetric",
        "unsigned",
        "cut",
        "nonsense",
        "empty",
    ],
)
async def test_what_is_not_right_is_not_believed(made: Callable[[], str]) -> None:
    with pytest.raises(IdentityUnproven):
        await verified_claims(keys_of(Published(("k1", OURS))), made(), EXPECTED, "ms365")


async def test_keys_are_fetched_once_and_again_for_a_new_key_but_not_for_every_invention() -> None:
    published = Published(("k1", OURS))
    keys = keys_of(published)
    for _ in range(3):
        await keys.key("k1")
    for invented in ("x", "y", "z"):
        assert None is await keys.key(invented)
    keys._fetched_at -= 60
    published.keys.append(("k2", THEIRS))

    assert await keys.key("k2") is not None
    assert 2 == published.asked
