"""The keys of a service: the first one seals, each opens what it sealed, and none is shown."""

import os

import pytest

from services.meshkit import sealing
from services.meshkit.settings import SettingsError

OLD, NEW = os.urandom(sealing.KEY_BYTES), os.urandom(sealing.KEY_BYTES)
BOUND = sealing.bound_to("mailmesh.test", "row", "column")


def test_the_first_key_seals_and_each_opens_what_it_sealed() -> None:
    sealed = sealing.KeySet("KEYS", {"old": OLD}).seal(b"value", BOUND)
    later = sealing.KeySet("KEYS", {"new": NEW, "old": OLD})

    assert ("new", b"value") == (later.first, later.open("old", sealed, BOUND))
    assert b"value" == sealing.KeySet("KEYS", {"new": NEW}).open("new", later.seal(b"value", BOUND), BOUND)


def test_a_missing_key_and_a_broken_seal_are_two_failures() -> None:
    keys = sealing.KeySet("KEYS", {"old": OLD})
    sealed = keys.seal(b"value", BOUND)

    with pytest.raises(sealing.KeyMissingError):
        keys.open("new", sealed, BOUND)
    with pytest.raises(sealing.SealError):
        keys.open("old", sealed, sealing.bound_to("mailmesh.test", "row", "another"))


def test_a_service_without_a_key_says_which_setting_it_needs() -> None:
    with pytest.raises(SettingsError, match=r"KEYS is not set, nor KEYS_FILE: one key is needed\."):
        sealing.KeySet("KEYS", {})


def test_no_key_is_shown() -> None:
    shown = repr(sealing.KeySet("KEYS", {"old": OLD}))

    assert ("old" in shown, OLD.hex() in shown, repr(OLD) in shown) == (True, False, False)
