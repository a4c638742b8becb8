"""Reading key-encryption keys."""

import base64
from pathlib import Path

import pytest

from services.meshkit.secret import Secret
from services.meshkit.settings import SettingsError
from services.token_vault.keys.errors import KeyUnavailable
from services.token_vault.keys.keyring import KeyRing, read_keys

KEY = bytes(range(32))
STANDARD = base64.b64encode(KEY).decode()


def test_keys_come_from_the_environment_and_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# old ones\n\nk1:{base64.urlsafe_b64encode(KEY).decode().rstrip('=')}\n")

    ring = read_keys(Secret(f"k2:{STANDARD}, k3:{STANDARD}"), file)

    assert ("k2", "k3", "k1") == ring.ids
    assert "k2" == ring.first_id
    assert KEY == ring.key("k1") == ring.key("k2")


@pytest.mark.parametrize(
    "keys",
    ["k1", "k1:", "k1:AAAA", "k1:***", f":{STANDARD}", f"a b:{STANDARD}", f"k1:{STANDARD},k1:{STANDARD}", "," * 3],
)
def test_what_is_no_key_is_refused_without_repeating_it(keys: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_keys(Secret(keys), None)

    assert STANDARD not in str(refused.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="MAILMESH_VAULT_KEYS_FILE cannot be read"):
        read_keys(None, tmp_path / "none")


def test_a_key_that_is_not_loaded_is_named() -> None:
    with pytest.raises(KeyUnavailable) as missing:
        KeyRing({"k1": KEY}).key("k2")

    assert {"key_id": "k2"} == missing.value.metadata


def test_keys_are_taken_over_from_another_ring() -> None:
    ring, other = KeyRing({"k1": KEY}), KeyRing({"k2": KEY, "k1": KEY})

    was_like = ring.is_like(other)
    ring.adopt(other)

    assert (False, True) == (was_like, ring.is_like(other))
    assert not ring.is_like(KeyRing({"k1": KEY, "k2": KEY}))
    assert ("k2", "k1") == ring.ids
