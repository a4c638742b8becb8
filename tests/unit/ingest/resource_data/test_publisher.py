"""Validation tokens: what proves Graph's change tracking, and everything that does not."""

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from services.ingest.errors import ProviderUnavailable
from services.ingest.metrics import VALIDATION_TOKENS
from services.ingest.resource_data.publisher import MAX_TOKENS, Publisher
from services.meshkit.secret import Secret

OURS, THEIRS = (rsa.generate_private_key(65537, 2048) for _ in range(2))
TENANT = "11d2a6b5-0000-4000-8000-00000000000A"
PUBLISHER = "0bf30f3b-4a52-48df-9a82-234910c4a086"
LOGIN = "https://login.test"
FIRST = {"ver": "1.0", "iss": f"https://sts.windows.net/{TENANT}/", "appid": PUBLISHER}
SECOND = {"ver": "2.0", "iss": f"{LOGIN}/{TENANT}/v2.0", "azp": PUBLISHER}


class Microsoft:
    """Discovery and keys."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_away = False
        self.key_id = "k1"

    async def fetch(self, url: str) -> dict[str, Any]:
        self.asked.append(url)
        if self.is_away:
            raise ProviderUnavailable
        if url == f"{LOGIN}/organizations/v2.0/.well-known/openid-configuration":
            return {"issuer": f"{LOGIN}/{{tenantid}}/v2.0", "jwks_uri": f"{LOGIN}/keys"}
        assert url == f"{LOGIN}/keys"
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OURS.public_key()))
        return {"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "RS256"}]}


@pytest.fixture
def microsoft() -> Microsoft:
    return Microsoft()


@pytest.fixture
def publisher(microsoft: Microsoft) -> Publisher:
    return Publisher(
        microsoft.fetch,
        authority=f"{LOGIN}/organizations",
        audience="our-app",
        publisher_id=PUBLISHER,
        sts_url="https://sts.windows.net",
    )


def token(key: Any = OURS, key_id: str | None = "k1", algorithm: str = "RS256", **changes: Any) -> Secret:
    now = int(time.time())
    claims = {"aud": "our-app", "tid": TENANT, "iat": now, "nbf": now, "exp": now + 3600, **SECOND, **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    return Secret(jwt.encode(claims, key, algorithm=algorithm, headers={"kid": key_id} if key_id else None))


def refused(check: str) -> float:
    return float(VALIDATION_TOKENS.labels(check)._value.get())


@pytest.mark.parametrize("claims", [FIRST | {"azp": None}, SECOND], ids=["1.0", "2.0"])
async def test_a_token_of_the_publisher_speaks_for_its_organisation(publisher: Publisher, claims: Any) -> None:
    assert {TENANT.lower()} == await publisher.organisations([token(**claims)])


async def test_the_publishers_id_may_be_in_upper_case(publisher: Publisher) -> None:
    assert await publisher.organisations([token(azp=PUBLISHER.upper())])


FORGED: dict[str, tuple[str, Any]] = {
    "signed by another key": ("signature", {"key": THEIRS}),
    "unknown key id": ("key_id", {"key_id": "k9"}),
    "no key id": ("key_id", {"key_id": None}),
    "signed by nobody": ("format", {"key": "", "algorithm": "none"}),
    "signed by the public key as a secret": ("format", {"key": "k" * 64, "algorithm": "HS256"}),
    "other audience": ("audience", {"aud": "other-app"}),
    "no audience": ("format", {"aud": None}),
    "expired": ("time", {"exp": int(time.time()) - 600}),
    "no expiry": ("format", {"exp": None}),
    "not valid yet": ("time", {"nbf": int(time.time()) + 86_400}),
    "other publisher": ("publisher", {"azp": "0bf30f3b-4a52-48df-9a82-234910c4a087"}),
    "no publisher": ("publisher", {"azp": None}),
    "publisher of version 1.0 in a token of version 2.0": ("publisher", {"azp": None, "appid": PUBLISHER}),
    "publisher of version 2.0 in a token of version 1.0": ("publisher", {**FIRST, "appid": "x", "azp": PUBLISHER}),
    "issuer of version 1.0 in a token of version 2.0": ("issuer", {"iss": FIRST["iss"]}),
    "issuer of another organisation": ("issuer", {"iss": f"{LOGIN}/11d2a6b5-0000-4000-8000-000000000000/v2.0"}),
    "foreign issuer": ("issuer", {"iss": f"https://login.evil/{TENANT}/v2.0"}),
    "no version": ("format", {"ver": None}),
    "unknown version": ("claims", {"ver": "3.0"}),
    "version is no text": ("claims", {"ver": ["2.0"]}),
    "organisation is no id": ("claims", {"tid": "common"}),
    "no organisation": ("format", {"tid": None}),
}


@pytest.mark.parametrize("forgery", FORGED)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_a_token_that_fails_a_check_proves_nothing(publisher: Publisher, forgery: str) -> None:
    check, changes = FORGED[forgery]
    before = refused(check)

    assert frozenset() == await publisher.organisations([token(**changes)])
    assert before + 1 == refused(check)


async def test_one_bad_token_spoils_the_good_ones(publisher: Publisher) -> None:
    assert frozenset() == await publisher.organisations([token(), token(THEIRS)])


@pytest.mark.parametrize("count", [0, MAX_TOKENS + 1])
async def test_no_token_and_too_many_prove_nothing_and_cost_nothing(
    publisher: Publisher, microsoft: Microsoft, count: int
) -> None:
    assert frozenset() == await publisher.organisations([token()] * count)
    assert [] == microsoft.asked


async def test_keys_are_fetched_once_for_many_tokens(publisher: Publisher, microsoft: Microsoft) -> None:
    for _ in range(3):
        assert await publisher.organisations([token(), token()])

    assert 2 == len(microsoft.asked)


async def test_without_keys_the_failure_says_that_microsoft_is_away(publisher: Publisher, microsoft: Microsoft) -> None:
    microsoft.is_away = True

    with pytest.raises(ProviderUnavailable):
        await publisher.organisations([token()])


async def test_a_document_without_keys_says_that_microsoft_is_away(microsoft: Microsoft) -> None:
    async def fetch(_url: str) -> dict[str, Any]:
        return {"issuer": 1}

    publisher = Publisher(
        fetch, authority=LOGIN, audience="our-app", publisher_id=PUBLISHER, sts_url="https://sts.windows.net"
    )
    with pytest.raises(ProviderUnavailable):
        await publisher.organisations([token()])
