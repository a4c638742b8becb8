"""Cursors of the log of tenants' changes."""

import base64

import pytest

from services.token_vault.accounts.errors import CursorInvalid
from services.token_vault.accounts.tenant_change_feed import Cursor

TENANT = "01a21c11-d221-72b3-aced-a7d88179a589"


@pytest.mark.parametrize(
    ("text", "cursor"),
    [
        ("WzcsIG51bGxd", Cursor(7)),
        ("WzcsICIiXQ", Cursor(7, "")),
        ("WzcsICIwMWEyMWMxMS1kMjIxLTcyYjMtYWNlZC1hN2Q4ODE3OWE1ODkiXQ", Cursor(7, TENANT)),
    ],
)
def test_cursors_that_services_have_stored_stay_readable(text: str, cursor: Cursor) -> None:
    assert cursor == Cursor.read(text)
    assert text == cursor.text()


@pytest.mark.parametrize("raw", [b"[1]", b"[-1,null]", b'[1,"x"]', b"[true,null]", b"{}", b"7", b"[" * 1500, b"\xff"])
def test_any_other_string_is_refused(raw: bytes) -> None:
    with pytest.raises(CursorInvalid):
        Cursor.read(base64.urlsafe_b64encode(raw).rstrip(b"=").decode())
