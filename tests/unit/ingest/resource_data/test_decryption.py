"""Resource data: what Graph encrypts opens, and every fault is one failure."""

import base64
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from services.ingest.resource_data import decryption
from services.ingest.resource_data.decryption import ContentRefusedError, decrypt
from services.ingest.webhooks.microsoft import EncryptedContent
from tests.unit.ingest.resource_data.encrypting import encrypted

OURS, THEIRS = (rsa.generate_private_key(65537, 2048) for _ in range(2))
PUBLIC = OURS.public_key()
RESOURCE = {"id": "AAMk=", "@odata.etag": 'W/"CQ"'}


def turned(text: str) -> str:
    """Return base64 of the same bytes with one bit turned."""
    raw = bytearray(base64.b64decode(text))
    raw[len(raw) // 2] ^= 1
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize("letters", range(14, 32))
def test_what_graph_encrypts_opens_whatever_its_length(letters: int) -> None:
    resource = {"id": "A" * letters}

    assert resource == decrypt(encrypted(resource, PUBLIC), OURS)


FAULTS: dict[str, Callable[[EncryptedContent], EncryptedContent]] = {
    "data turned": lambda good: replace(good, data=turned(good.data)),
    "data cut": lambda good: replace(good, data=base64.b64encode(base64.b64decode(good.data)[:-16]).decode()),
    "data empty": lambda good: replace(good, data=""),
    "data not base64": lambda good: replace(good, data="%%%"),
    "key turned": lambda good: replace(good, data_key=turned(good.data_key)),
    "key short": lambda good: replace(good, data_key="AAAA"),
    "key empty": lambda good: replace(good, data_key=""),
    "key not base64": lambda good: replace(good, data_key="é"),
    "signature turned": lambda good: replace(good, signature=turned(good.signature)),
    "signature empty": lambda good: replace(good, signature=""),
    "key of another certificate": lambda _: encrypted(RESOURCE, THEIRS.public_key()),
    "signed by another key": lambda _: encrypted(RESOURCE, PUBLIC, signing=b"s" * 32),
    "OAEP with SHA-256": lambda _: encrypted(RESOURCE, PUBLIC, hashing=hashes.SHA256()),
    "symmetric key of 16 bytes": lambda _: encrypted(RESOURCE, PUBLIC, key=b"k" * 16),
    "no padding": lambda _: encrypted(None, PUBLIC, padded=b"{" + b" " * 14 + b"}"),
    "padding too long": lambda _: encrypted(None, PUBLIC, padded=b"{}" + b" " * 13 + bytes([17])),
    "padding of zero": lambda _: encrypted(None, PUBLIC, padded=b"{}" + b" " * 13 + bytes([0])),
    "no JSON": lambda _: encrypted(None, PUBLIC, padded=b"no json" + bytes([9]) * 9),
    "no object": lambda _: encrypted([1], PUBLIC),
    "too many values": lambda _: encrypted([[]] * 200_001, PUBLIC),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_the_same_failure(fault: str) -> None:
    spoiled = FAULTS[fault](encrypted(RESOURCE, PUBLIC))

    with pytest.raises(ContentRefusedError) as refused:
        decrypt(spoiled, OURS)

    assert ((), True) == (refused.value.args, refused.value.__suppress_context__ or refused.value.__context__ is None)


@pytest.mark.parametrize("fault", ["key turned", "signature turned", "signed by another key", "data turned"])
def test_nothing_is_decrypted_whose_signature_does_not_hold(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled = FAULTS[fault](encrypted(RESOURCE, PUBLIC))
    asked: list[bytes] = []
    monkeypatch.setattr(decryption, "_plain", lambda data, _key: asked.append(data))

    with pytest.raises(ContentRefusedError):
        decrypt(spoiled, OURS)

    assert [] == asked


def test_a_content_shows_nothing_of_itself() -> None:
    good = encrypted(RESOURCE, PUBLIC)

    assert good.data not in repr(good)
    assert good.data_key not in repr(good)
