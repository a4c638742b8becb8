"""The keys of webhooks have one text form each, and show themselves only when asked."""

import base64
import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.delivery.signing_keys import (
    Ed25519Key,
    HmacKey,
    SigningKeyInvalid,
    read_signing_key,
    read_verifying_key,
)
from services.meshkit.secret import Secret


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize("kind", [HmacKey, Ed25519Key])
def test_a_written_key_signs_as_before(kind: type[HmacKey] | type[Ed25519Key]) -> None:
    key = kind.generate()

    assert key.sign(b"x") == read_signing_key(key.write()).sign(b"x")


@pytest.mark.parametrize("kind", [HmacKey, Ed25519Key])
def test_no_key_is_made_twice(kind: type[HmacKey] | type[Ed25519Key]) -> None:
    assert kind.generate().write() != kind.generate().write()


def test_the_two_halves_of_a_written_key_pair_belong_together() -> None:
    key = Ed25519Key.generate()

    assert key.public().write().startswith("whpk_")
    assert read_verifying_key(Secret(key.public().write())).verifies(b"x", key.sign(b"x"))


def test_the_key_pair_of_rfc_8032_signs_as_the_rfc_says() -> None:
    """RFC 8032, section 7.1, test 3."""
    key = Ed25519Key(bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"))

    assert key.public().write() == "whpk_" + encoded(
        bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    )
    assert key.sign(b"\xaf\x82") == bytes.fromhex(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )


def test_a_private_key_with_its_public_half_is_read() -> None:
    seed = bytes(range(32))
    public = base64.b64decode(Ed25519Key(seed).public().write().removeprefix("whpk_"))

    assert Ed25519Key(seed).write() == read_signing_key(Secret("whsk_" + encoded(seed + public))).write()
    with pytest.raises(SigningKeyInvalid, match="belong together"):
        read_signing_key(Secret("whsk_" + encoded(seed + bytes(32))))


@pytest.mark.parametrize("length", [24, 32, 64])
def test_a_shared_key_of_an_allowed_length_is_read(length: int) -> None:
    text = Secret("whsec_" + encoded(bytes(length)))

    assert text == read_signing_key(text).write()


@pytest.mark.parametrize(
    "text",
    [
        *("whsec_", "whsk_", "whpk_", "no key", "WHSEC_" + encoded(bytes(32)), encoded(bytes(32))),
        *("whsec_" + encoded(bytes(length)) for length in (1, 23, 65)),
        *(prefix + encoded(bytes(length)) for prefix in ("whsk_", "whpk_") for length in (31, 33)),
        *("whsec_" + encoded(b"\xfb\xff" * 16).replace("+", "-").replace("/", "_"), "whsec_" + "A" * 43),
        *("whsec_" + encoded(bytes(32)) + "\n", " whsec_" + encoded(bytes(32)), "whsec_" + "ä" * 44),
        # The last character has bits that no decoder reads: two texts for one key.
        "whsec_" + encoded(bytes(32)).replace("A=", "B="),
    ],
)
def test_another_text_is_no_key_and_is_not_shown(text: str) -> None:
    for read in (read_signing_key, read_verifying_key):
        with pytest.raises(SigningKeyInvalid) as failure:
            read(Secret(text))
        assert text.rpartition("_")[2] not in str(failure.value).split() or text.endswith("_")


def test_a_private_key_does_not_verify_and_a_public_one_does_not_sign() -> None:
    key = Ed25519Key.generate()

    with pytest.raises(SigningKeyInvalid):
        read_verifying_key(key.write())
    with pytest.raises(SigningKeyInvalid):
        read_signing_key(Secret(key.public().write()))


@pytest.mark.parametrize("key", [HmacKey(b"canary" * 5), Ed25519Key(b"canary" * 5 + b"!!")])
def test_a_key_does_not_show_itself(key: HmacKey | Ed25519Key) -> None:
    assert f"{type(key).__name__}(**********)" == repr(key) == str(key)
    for leak in (pickle.dumps, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            leak(key)


@given(st.text())
def test_any_text_is_a_key_or_is_refused(text: str) -> None:
    for prefix in ("whsec_", "whsk_", ""):
        try:
            key = read_signing_key(Secret(prefix + text or "x"))
        except SigningKeyInvalid:
            continue
        assert prefix + text == key.write().reveal()
