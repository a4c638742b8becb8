"""Arbitrary input is parsed, or refused with the one exception that means so."""

import base64
import gzip
import json
import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.webhooks.google import GmailPush, is_signed_by, parse_push
from services.ingest.webhooks.microsoft import GraphChange, GraphLifecycle, is_echo_safe, parse_notifications
from services.ingest.webhooks.packed_body import unpack
from services.ingest.webhooks.untrusted_json import MAX_VALUES, UnreadableError, parse_object
from services.meshkit.errors import FieldInvalid

# Lone surrogates are what JSON can say and Unicode cannot.
TEXT = st.text(alphabet=st.characters(codec=None)) | st.sampled_from(["\ud800", "\udfff\x00", "é" * 3000])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)
ITEM = st.fixed_dictionaries(
    {},
    optional={
        "subscriptionId": JSON,
        "clientState": JSON,
        "changeType": st.sampled_from(["created", "UPDATED", "deleted", ""]) | JSON,
        "lifecycleEvent": st.sampled_from(["missed", "subscriptionRemoved"]) | JSON,
        "resource": st.sampled_from(["users('a')/messages('b')", "/messages/", "messages('"]) | JSON,
        "resourceData": st.fixed_dictionaries(
            {}, optional={"id": JSON, "@odata.etag": JSON, "@odata.type": JSON, "clientState": JSON}
        )
        | JSON,
        "encryptedContent": JSON,
    },
)


def parsed(body: bytes) -> list[Any]:
    try:
        return list(parse_notifications(body))
    except UnreadableError:
        return []


def pushed(body: bytes) -> GmailPush | None:
    try:
        return parse_push(body)
    except UnreadableError:
        return None


@given(st.binary())
def test_any_bytes_are_no_accident(body: bytes) -> None:
    for found in parsed(body):
        assert isinstance(found, GraphChange | GraphLifecycle | UnreadableError)
    assert pushed(body) is None or isinstance(pushed(body), GmailPush)


@given(st.lists(ITEM | JSON))
def test_any_items_are_understood_or_refused_one_by_one(items: list[Any]) -> None:
    found = parsed(json.dumps({"value": items}).encode())

    assert len(items) == len(found)
    for one in found:
        if isinstance(one, GraphChange):
            kept = json.loads(one.content)
            assert "clientState" not in kept
            assert one.change_type in ("created", "updated", "deleted")
            one.message_id.encode()


@given(st.dictionaries(st.sampled_from(["emailAddress", "historyId", "message", "data"]), JSON) | JSON)
def test_any_push_is_understood_or_refused(data: Any) -> None:
    raw = json.dumps(data)
    for body in (
        raw.encode(),
        json.dumps({"message": data}).encode(),
        json.dumps({"message": {"data": base64.b64encode(raw.encode()).decode(), "messageId": data}}).encode(),
    ):
        push = pushed(body)
        if push is not None:
            assert 0 < push.history_id < 2**64
            push.address.encode()


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_claims_are_no_accident(claims: str) -> None:
    assert not is_signed_by(claims, "push@project.iam.gserviceaccount.com")


def claims(**overrides: Any) -> str:
    content = {"email": "push@p.iam.gserviceaccount.com", "email_verified": True} | overrides
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("header", "account", "expected"),
    [
        (claims(), "push@p.iam.gserviceaccount.com", True),
        (claims(email="other@p.iam.gserviceaccount.com"), "push@p.iam.gserviceaccount.com", False),
        (claims(email_verified=False), "push@p.iam.gserviceaccount.com", False),
        (claims(email_verified="true"), "push@p.iam.gserviceaccount.com", False),
        (claims(email=None), "", False),
        (claims(), "", False),
        ("", "push@p.iam.gserviceaccount.com", False),
        (base64.b64encode(b"[]").decode(), "push@p.iam.gserviceaccount.com", False),
    ],
)
def test_only_the_configured_and_verified_service_account_is_believed(
    header: str, account: str, expected: bool
) -> None:
    assert expected == is_signed_by(header, account)


@pytest.mark.parametrize("token", ["", "<script>", "a>b", "x" * 4097, "line\nbreak", "\x00"])
def test_what_is_no_validation_token_is_not_echoed(token: str) -> None:
    assert not is_echo_safe(token)


def test_a_validation_token_of_graph_is_echoed() -> None:
    assert is_echo_safe("Validation: Testing client application reachability for subscription Request-Id: 7f10+/=")


@pytest.mark.parametrize("value", ["[]", "{}", "0", '""', '{"a":0}', '"\\ud800"'])
@pytest.mark.parametrize("place", ['{"value":[%s]}', '{"other":[%s],"value":[]}', '{"message":{"data":[%s]}}'])
def test_a_body_of_more_values_than_an_honest_one_is_refused_before_it_is_parsed(place: str, value: str) -> None:
    body = (place % ",".join([value] * (MAX_VALUES + 1))).encode()

    for parse in (parse_notifications, parse_push, parse_object):
        with pytest.raises(FieldInvalid, match="values"):
            parse(body)


def test_the_largest_honest_post_is_parsed() -> None:
    item = {
        "changeType": "created", "clientState": "c" * 64, "resource": f"Users/{'u' * 36}/Messages/{'m' * 152}",
        "subscriptionId": "s" * 36, "subscriptionExpirationDateTime": "2026-11-27T12:00:00Z", "tenantId": "t" * 36,
        "resourceData": {"@odata.type": "#Microsoft.Graph.Message", "@odata.id": f"Users/{'u' * 36}/{'m' * 152}",
                         "@odata.etag": 'W/"CQAAABYAAAC"', "id": "m" * 152},
    }  # fmt: skip
    body = json.dumps({"value": [item] * 4200}).encode()

    assert 3_500_000 < len(body) < 4 * 1024 * 1024
    assert 4200 == len([found for found in parse_notifications(body) if isinstance(found, GraphChange)])


@pytest.mark.parametrize("length", [1_000, 4_000_000])
def test_a_bomb_is_not_unpacked(length: int) -> None:
    packed = gzip.compress(b"[" * length)

    if length <= 64 * 1024:
        assert b"[" * length == unpack(packed, "gzip")
    else:
        with pytest.raises(FieldInvalid, match="unpacks to more than"):
            unpack(packed, "gzip")


def test_notifications_that_are_packed_as_they_usually_are_are_unpacked() -> None:
    items = [{"subscriptionId": secrets.token_hex(16), "resourceData": {"id": secrets.token_urlsafe(112)}}] * 2
    items += [{"subscriptionId": "s" * 36, "resourceData": {"id": secrets.token_urlsafe(112)}} for _ in range(4000)]
    body = json.dumps({"value": items}).encode()

    assert body == unpack(gzip.compress(body), "gzip")


def test_a_lone_surrogate_costs_its_neighbours_nothing() -> None:
    good = {"subscriptionId": "s", "clientState": "c", "changeType": "created", "resource": "users/u/messages/m"}
    body = json.dumps({"value": [good, good | {"resource": "users/u/messages/\ud800"}, good]}).encode()

    found = parsed(body)

    assert ["GraphChange", "UnreadableError", "GraphChange"] == [type(one).__name__ for one in found]
