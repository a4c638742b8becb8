"""Client certificates and client credentials of endpoints: their checks, and their sealed form."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from services.delivery.endpoints import access
from services.delivery.endpoints.secrets import KeptKey, Sealer
from services.delivery.errors import SealBroken
from services.delivery.signing_keys import HmacKey
from services.egress.addresses import EgressRules
from services.meshkit.errors import FieldInvalid
from services.meshkit.secret import Secret
from tests.factories.receivers import Authority
from tests.unit.delivery.test_schedule import endpoint

NOW = datetime.now(UTC)
RULES = EgressRules()
CREDENTIALS = {"token_url": "https://id.example.com/token", "client_id": "mesh", "client_secret": "s3cret word"}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_a_certificate_with_its_key_is_taken_with_its_end(authority: Authority) -> None:
    certificate, key = authority.issue("mesh.example")
    taken = access.certificate(pb2.EndpointClientCertificate(certificate=certificate, key=key), NOW)

    assert timedelta(hours=23) < taken.ends_at - NOW < timedelta(hours=25)
    assert (certificate, key) == (taken.certificate, taken.key.reveal())
    assert key.splitlines()[1] not in repr(taken)


def test_a_certificate_that_cannot_be_shown_is_refused(authority: Authority) -> None:
    certificate, key = authority.issue("mesh.example")
    _, other = authority.issue("other.example")
    ended, ended_key = authority.issue("mesh.example", ended=timedelta(days=2))
    for asked in ((certificate, other), (certificate, ""), ("", key), ("no certificate", key), (ended, ended_key)):
        with pytest.raises(FieldInvalid) as refused:
            access.certificate(pb2.EndpointClientCertificate(certificate=asked[0], key=asked[1]), NOW)
        assert "client_certificate." in str(refused.value.metadata) + str(refused.value)
        assert other.splitlines()[1] not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token_url", "http://id.example.com/token"),
        ("token_url", "https://user:word@id.example.com/token"),
        ("token_url", "https://127.0.0.1/token"),
        ("client_id", ""),
        ("client_id", "x" * 501),
        ("client_secret", ""),
        ("client_secret", "line\nbreak"),
        ("client_secret", "größe"),
        ("scope", "x" * 2001),
        ("scope", "a\tb"),
    ],
)
def test_credentials_that_no_token_endpoint_takes_are_refused(name: str, value: str) -> None:
    assert access.credentials(pb2.EndpointClientCredentials(**CREDENTIALS), RULES).client_id == "mesh"
    with pytest.raises(FieldInvalid):
        access.credentials(pb2.EndpointClientCredentials(**{**CREDENTIALS, name: value}), RULES)


def test_access_is_sealed_for_its_endpoint_and_opens_as_it_was(authority: Authority) -> None:
    sealer = Sealer({"one": os.urandom(32)})
    certificate, key = authority.issue("mesh.example")
    kept = access.Access(
        access.certificate(pb2.EndpointClientCertificate(certificate=certificate, key=key), NOW),
        access.ClientCredentials("https://id.example.com/token", "mesh", Secret("word"), "a b"),
    )
    sealed = vars(sealer.seal("one", [KeptKey(HmacKey.generate())], {}, kept))
    opened = sealer.access(endpoint(endpoint_id="one", **sealed))

    assert access.written(kept) == access.written(opened)
    assert b"word" not in sealed["sealed_access"]
    assert not sealer.access(endpoint(endpoint_id="one"))
    with pytest.raises(SealBroken):
        sealer.access(endpoint(endpoint_id="other", **sealed))
