"""Sealing: what was sealed for one place opens in no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.token_vault.keys.errors import KeyUnavailable, SealBroken
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.keys.sealing import DataKey, bound_to, new_data_key, rewrap, unwrap
from services.token_vault.store.data_keys import WrappedKey

RING = KeyRing({"k2": b"2" * 32, "k1": b"1" * 32})
TENANT, OTHER = new_id(), new_id()


def test_a_field_opens_with_its_own_key_and_name() -> None:
    key, wrapped = new_data_key(RING, TENANT, "k1")

    sealed = key.seal("refresh_token", Secret("1//secret"))

    assert Secret("1//secret") == unwrap(RING, wrapped).open("refresh_token", sealed)
    assert b"secret" not in sealed


def test_sealing_the_same_twice_gives_different_ciphertexts() -> None:
    key, _ = new_data_key(RING, TENANT, "k1")

    assert key.seal("access_token", Secret("a")) != key.seal("access_token", Secret("a"))


@pytest.mark.parametrize(
    "reader",
    [
        lambda key: DataKey(OTHER, key.data_key_id, b"k" * 32),
        lambda key: DataKey(TENANT, new_id(), b"k" * 32),
        lambda key: DataKey(TENANT, key.data_key_id, b"x" * 32),
    ],
    ids=["another tenant", "another key id", "another key"],
)
def test_a_field_does_not_open_elsewhere(reader: object) -> None:
    key = DataKey(TENANT, new_id(), b"k" * 32)
    sealed = key.seal("access_token", Secret("a"))

    with pytest.raises(SealBroken) as broken:
        reader(key).open("access_token", sealed)  # type: ignore[operator]

    assert list(broken.value.metadata) == ["tenant_id"]


def test_a_field_does_not_open_under_another_name() -> None:
    key, _ = new_data_key(RING, TENANT, "k1")

    with pytest.raises(SealBroken):
        key.open("refresh_token", key.seal("access_token", Secret("a")))


@given(st.data())
def test_any_altered_byte_breaks_the_seal(data: st.DataObject) -> None:
    key, _ = new_data_key(RING, TENANT, "k1")
    sealed = bytearray(key.seal("access_token", Secret("the token")))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))

    with pytest.raises(SealBroken):
        key.open("access_token", bytes(sealed))


@given(st.binary(max_size=60))
def test_nonsense_does_not_open(nonsense: bytes) -> None:
    key, _ = new_data_key(RING, TENANT, "k1")

    with pytest.raises(SealBroken):
        key.open("access_token", nonsense)


def test_a_wrapped_key_opens_for_its_tenant_and_key_encryption_key_only() -> None:
    _, wrapped = new_data_key(RING, TENANT, "k1")
    moved = WrappedKey(OTHER, wrapped.data_key_id, "k1", wrapped.wrapped)
    renamed = WrappedKey(TENANT, wrapped.data_key_id, "k2", wrapped.wrapped)

    for stolen in (moved, renamed):
        with pytest.raises(SealBroken):
            unwrap(RING, stolen)


def test_wrapping_anew_keeps_what_is_sealed() -> None:
    key, wrapped = new_data_key(RING, TENANT, "k1")
    sealed = key.seal("access_token", Secret("a"))

    anew = rewrap(RING, wrapped, "k2")

    assert ("k2", wrapped.data_key_id) == (anew.key_encryption_key_id, anew.data_key_id)
    assert Secret("a") == unwrap(KeyRing({"k2": b"2" * 32}), anew).open("access_token", sealed)
    with pytest.raises(KeyUnavailable) as missing:
        unwrap(KeyRing({"k2": b"2" * 32}), wrapped)
    assert {"key_id": "k1"} == missing.value.metadata


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_two_bindings_are_never_alike(first: list[str], second: list[str]) -> None:
    assert (first == second) == (bound_to(*first) == bound_to(*second))


def test_keys_do_not_show_themselves() -> None:
    key, wrapped = new_data_key(RING, TENANT, "k1")

    shown = f"{RING!r} {key!r} {wrapped!r}"

    # More of them than an id may hold by chance.
    assert "1" * 16 not in shown
    assert "\\x" not in shown
