"""Passes of agents: a pass that TokenVault did not sign for tools, or that is too old, finds no key."""

from datetime import timedelta
from typing import Any

import jwt
import pytest

from services.meshkit.clock import SystemClock
from services.meshkit.errors import ApiKeyInvalid
from services.token_vault.api_access.passes import SECONDS, Passes
from services.token_vault.keys.keyring import KeyRing

RING = KeyRing({"k1": b"1" * 32, "k2": b"2" * 32})


def passes(ring: KeyRing = RING) -> Passes:
    """Passes without a database: a good one fails there, with another failure."""
    return Passes(None, ring, SystemClock(), timedelta(seconds=1))  # type: ignore[arg-type]


def claims() -> dict[str, Any]:
    """The claims of a good pass."""
    return jwt.decode(passes().issue("id").reveal(), options={"verify_signature": False})


def test_a_pass_names_its_key_for_a_minute_and_nothing_else() -> None:
    found = claims()

    assert {"sub", "aud", "iat", "exp"} == found.keys()
    assert ("id", SECONDS) == (found["sub"], found["exp"] - found["iat"])


async def test_a_good_pass_is_looked_up_with_the_newest_and_with_an_older_key() -> None:
    for ring in (RING, KeyRing({"k2": b"2" * 32, "k1": b"1" * 32})):
        with pytest.raises(AttributeError):
            await passes().authenticate(passes(ring).issue("id").reveal())


def test_a_pass_does_not_print() -> None:
    assert "eyJ" not in f"{passes().issue('id')!r}{passes().issue('id')}"


@pytest.mark.parametrize(
    "presented",
    [
        pytest.param(lambda: jwt.encode(claims(), b"1" * 32, "HS256", {"kid": "k1"}), id="signed by the key itself"),
        pytest.param(lambda: passes(KeyRing({"k1": b"3" * 32})).issue("id").reveal(), id="another key of that id"),
        pytest.param(lambda: passes(KeyRing({"k3": b"3" * 32})).issue("id").reveal(), id="an unknown key id"),
        pytest.param(lambda: jwt.encode(claims(), "", "none", {"kid": "k1"}), id="unsigned"),
        pytest.param(lambda: jwt.encode(claims(), b"1" * 32, "HS256"), id="no key id"),
        pytest.param(lambda: signed(aud="another"), id="another audience"),
        pytest.param(lambda: signed(aud=None), id="no audience"),
        pytest.param(lambda: signed(exp=None), id="no end"),
        pytest.param(lambda: signed(exp=1), id="too old"),
        pytest.param(lambda: signed(sub=None), id="no key"),
        pytest.param(lambda: signed(sub=7), id="a key that is no text"),
        pytest.param(lambda: "a.b.c", id="nonsense"),
        pytest.param(lambda: "", id="empty"),
    ],
)
async def test_any_other_token_is_refused_before_the_database(presented: Any) -> None:
    with pytest.raises(ApiKeyInvalid):
        await passes().authenticate(presented())


def signed(**changes: Any) -> str:
    """A pass with other claims, signed as ours are."""
    changed = {name: value for name, value in {**claims(), **changes}.items() if value is not None}
    return jwt.encode(changed, passes()._signing_key("k1"), "HS256", {"kid": "k1"})
