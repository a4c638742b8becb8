"""The secrets of endpoints: bound to their owner, never printed."""

import os
from dataclasses import replace
from datetime import timedelta

import pytest

from services.delivery.endpoints.secrets import KeptKey, Sealer
from services.delivery.errors import KeyUnavailable, SealBroken
from services.delivery.signing_keys import HmacKey
from services.meshkit.secret import Secret
from services.meshkit.settings import SettingsError
from tests.unit.delivery.test_schedule import NOW, endpoint

OLD, NEW = os.urandom(32), os.urandom(32)
HEADERS = {"authorization": Secret("Bearer receiver")}


def test_secrets_open_with_the_key_that_sealed_them_after_a_new_key_came_first() -> None:
    key = HmacKey.generate()
    row = endpoint(endpoint_id="one", **vars(Sealer({"old": OLD}).seal("one", [KeptKey(key)], HEADERS)))
    later = Sealer({"new": NEW, "old": OLD})

    assert [key.write()] == [one.key.write() for one in later.signing_keys(row, NOW)]
    assert HEADERS == later.headers(row)
    assert b"receiver" not in row.sealed_headers


def test_a_previous_key_signs_until_its_end() -> None:
    old, new, sealer = HmacKey.generate(), HmacKey.generate(), Sealer({"old": OLD})
    kept = [KeptKey(new), KeptKey(old, NOW + timedelta(hours=1))]
    row = endpoint(endpoint_id="one", **vars(sealer.seal("one", kept, {})))

    assert [new.write(), old.write()] == [one.key.write() for one in sealer.signing_keys(row, NOW)]
    assert [new.write()] == [one.key.write() for one in sealer.signing_keys(row, NOW + timedelta(hours=1))]


def test_secrets_of_another_endpoint_do_not_open() -> None:
    sealer = Sealer({"old": OLD})
    row = endpoint(endpoint_id="other", **vars(sealer.seal("one", [KeptKey(HmacKey.generate())], HEADERS)))

    with pytest.raises(SealBroken):
        sealer.signing_keys(row, NOW)
    with pytest.raises(KeyUnavailable):
        Sealer({"new": NEW}).headers(row)


def test_a_sealer_without_a_key_is_refused_and_none_shows_its_keys() -> None:
    with pytest.raises(SettingsError):
        Sealer({})
    assert OLD.hex() not in repr(Sealer({"old": OLD}))


def test_open_secrets_of_one_endpoint_serve_no_other() -> None:
    sealer = Sealer({"old": OLD})
    owner = endpoint(endpoint_id="one", **vars(sealer.seal("one", [KeptKey(HmacKey.generate())], HEADERS)))
    assert sealer.signing_keys(owner, NOW)[0] is sealer.signing_keys(owner, NOW)[0], "it is opened once"
    assert sealer.headers(owner) == HEADERS

    for stranger in (replace(owner, endpoint_id="other"), replace(owner, sealed_by="new")):
        with pytest.raises((SealBroken, KeyUnavailable)):
            sealer.signing_keys(stranger, NOW)
        with pytest.raises((SealBroken, KeyUnavailable)):
            sealer.headers(stranger)
    with pytest.raises(SealBroken):
        sealer.headers(replace(owner, sealed_headers=owner.sealed_keys))
