"""The secrets of endpoints: bound to their owner, never printed."""

import os

import pytest

from services.delivery.endpoints.secrets import Sealer
from services.delivery.errors import KeyUnavailable, SealBroken
from services.delivery.signing_keys import HmacKey
from services.meshkit.secret import Secret
from services.meshkit.settings import SettingsError
from tests.unit.delivery.test_schedule import endpoint

OLD, NEW = os.urandom(32), os.urandom(32)
HEADERS = {"authorization": Secret("Bearer receiver")}


def test_secrets_open_with_the_key_that_sealed_them_after_a_new_key_came_first() -> None:
    key = HmacKey.generate()
    row = endpoint(endpoint_id="one", **vars(Sealer({"old": OLD}).seal("one", [key], HEADERS)))
    later = Sealer({"new": NEW, "old": OLD})

    assert [key.write()] == [one.write() for one in later.signing_keys(row)]
    assert HEADERS == later.headers(row)
    assert b"receiver" not in row.sealed_headers


def test_secrets_of_another_endpoint_do_not_open() -> None:
    sealer = Sealer({"old": OLD})
    row = endpoint(endpoint_id="other", **vars(sealer.seal("one", [HmacKey.generate()], HEADERS)))

    with pytest.raises(SealBroken):
        sealer.signing_keys(row)
    with pytest.raises(KeyUnavailable):
        Sealer({"new": NEW}).headers(row)


def test_a_sealer_without_a_key_is_refused_and_none_shows_its_keys() -> None:
    with pytest.raises(SettingsError):
        Sealer({})
    assert OLD.hex() not in repr(Sealer({"old": OLD}))
