"""Requests with the app's own token, or that of a shared mailbox's owner, name the tenant's user and no other one."""

import pytest

from mailmesh.vault.v1 import tenant_pb2
from services.processor.mailbox.app_only import self_addressed

BASE = "https://graph.microsoft.com/v1.0"
APP = tenant_pb2.Tenant(provider="ms365", token_type="app", user_id="oid-1")
PERSON = tenant_pb2.Tenant(provider="ms365", token_type="delegated", user_id="oid-1")

SHARED = tenant_pb2.Tenant(provider="ms365", token_type="delegated", user_id="oid-1", owner_tenant_id="owner")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/me", "/users/oid-1"),
        ("/me?$select=id", "/users/oid-1?$select=id"),
        ("/me/messages/me/me", "/users/oid-1/messages/me/me"),
        ("/users/oid-1/mailFolders/me/messages?x=/me/", "/users/oid-1/mailFolders/me/messages?x=/me/"),
        ("/subscriptions?x=/me/y", "/subscriptions?x=/me/y"),
        ("/$batch", "/$batch"),
    ],
)
def test_the_apps_token_is_used_for_the_tenants_own_user(path: str, expected: str) -> None:
    assert (BASE + expected, {}) == self_addressed(APP, BASE + path, {})
    assert (BASE + expected, {}) == self_addressed(SHARED, BASE + path, {})
    assert (BASE + path, {}) == self_addressed(PERSON, BASE + path, {})
    prefixed = "https://127.0.0.1:8443/graph/v1.0"
    assert (prefixed + expected, {}) == self_addressed(APP, prefixed + path, {})


def test_each_part_of_a_batch_names_the_tenants_own_user() -> None:
    body = {"requests": [{"id": "0", "url": "/me/messages/a"}, {"id": "1", "url": "/menu"}]}
    _, request = self_addressed(APP, f"{BASE}/$batch", {"body": body, "slots": 4})

    assert ["/users/oid-1/messages/a", "/menu"] == [one["url"] for one in request["body"]["requests"]]
    assert "/me/messages/a" == body["requests"][0]["url"]
    assert 4 == request["slots"]
