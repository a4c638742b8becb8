"""A signature is accepted by its key, for its id, its time and its body, and by nothing else."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from services.delivery.signature import Refusal, WebhookRefused, sign, verify
from services.delivery.signing_keys import Ed25519Key, HmacKey, SigningKey, read_signing_key, read_verifying_key
from services.meshkit.secret import Secret
from tests.factories import webhook_vectors as vectors

NOW = datetime(2026, 11, 27, 12, 0, 0, 999999, tzinfo=UTC)
BODY = '{"subject": "Grüße"}'.encode()
CASES = json.loads(vectors.FILE.read_text())["cases"]


def headers_of(case: dict[str, Any]) -> dict[str, str]:
    return {
        "Webhook-Id": case["webhookId"],
        "WEBHOOK-TIMESTAMP": case["webhookTimestamp"],
        "webhook-signature": case["webhookSignature"],
    }


def test_the_vectors_in_the_repository_are_the_computed_ones() -> None:
    assert vectors.FILE.read_text() == vectors.text()
    assert len(CASES) == len({case["name"] for case in CASES})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_vector_is_accepted_or_refused_as_it_says(case: dict[str, Any]) -> None:
    keys = [read_verifying_key(Secret(key)) for key in case["keys"]]
    body, now = base64.b64decode(case["bodyBase64"]), datetime.fromtimestamp(case["now"], UTC)

    if case["outcome"] == "accepted":
        assert case["webhookId"] == verify(keys, headers_of(case), body, now)
    else:
        with pytest.raises(WebhookRefused) as refused:
            verify(keys, headers_of(case), body, now)
        assert Refusal(case["outcome"]) is refused.value.refusal


@pytest.mark.parametrize(
    ("signature", "keys"),
    [
        (vectors.v1(), [HmacKey(vectors.NEW_SECRET)]),
        (vectors.v1a(), [Ed25519Key(vectors.NEW_SEED)]),
        (
            f"{vectors.v1()} {vectors.v1(vectors.OLD_SECRET)}",
            [HmacKey(vectors.NEW_SECRET), HmacKey(vectors.OLD_SECRET)],
        ),
        (f"{vectors.v1()} {vectors.v1a()}", [HmacKey(vectors.NEW_SECRET), Ed25519Key(vectors.NEW_SEED)]),
    ],
)
def test_the_signer_writes_the_vectors_headers(signature: str, keys: list[SigningKey]) -> None:
    assert {
        "webhook-id": vectors.EVENT,
        "webhook-timestamp": str(vectors.SENT_AT),
        "webhook-signature": signature,
    } == sign(keys, vectors.EVENT, vectors.moment(), vectors.BODY)


@pytest.mark.parametrize("rotation", ["alone", "first", "second", "beside_v1a"])
def test_the_official_library_accepts_a_shared_keys_signature(rotation: str) -> None:
    key, other = HmacKey.generate(), HmacKey.generate()
    keys: dict[str, list[SigningKey]] = {
        "alone": [key],
        "first": [key, other],
        "second": [other, key],
        "beside_v1a": [Ed25519Key.generate(), key],
    }
    headers = sign(keys[rotation], "event-1", datetime.now(UTC), BODY)

    assert {"subject": "Grüße"} == Webhook(key.write().reveal()).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(HmacKey.generate().write().reveal()).verify(BODY, headers)


def test_the_official_librarys_signature_is_accepted() -> None:
    key = HmacKey.generate()
    signature = Webhook(key.write().reveal()).sign("event-1", NOW, BODY.decode())
    headers = {"webhook-id": "event-1", "webhook-timestamp": str(int(NOW.timestamp())), "webhook-signature": signature}

    assert "event-1" == verify([key], headers, BODY, NOW)


def test_each_attempt_is_signed_for_its_own_time() -> None:
    key = HmacKey.generate()
    first, second = (sign([key], "event-1", NOW + timedelta(seconds=wait), BODY) for wait in (0, 1))

    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-signature"] != second["webhook-signature"]
    assert verify([key], second, BODY, NOW + timedelta(seconds=1))


def test_the_zone_of_the_senders_clock_changes_nothing() -> None:
    key = HmacKey.generate()

    assert sign([key], "e", NOW, BODY) == sign([key], "e", NOW.astimezone(timezone(timedelta(hours=2))), BODY)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"webhook-id": ""}, Refusal.HEADER_MISSING),
        ({"webhook-id": "a b"}, Refusal.HEADER_INVALID),
        ({"webhook-timestamp": "soon"}, Refusal.HEADER_INVALID),
        ({"webhook-signature": "v1,AAAA " * 600}, Refusal.HEADER_INVALID),
        ({"webhook-timestamp": "1"}, Refusal.TOO_OLD),
        ({"webhook-timestamp": "9" * 12}, Refusal.TOO_NEW),
        ({"webhook-signature": "v1,AAAA"}, Refusal.SIGNATURE_WRONG),
    ],
)
def test_a_refusal_has_its_reason(change: dict[str, str], refusal: Refusal) -> None:
    key = HmacKey.generate()

    with pytest.raises(WebhookRefused) as refused:
        verify([key], sign([key], "event-1", NOW, BODY) | change, BODY, NOW)
    assert refusal is refused.value.refusal


@pytest.mark.parametrize("number", [0, 5])
def test_no_key_and_too_many_keys_sign_nothing(number: int) -> None:
    with pytest.raises(ValueError, match="keys"):
        sign([HmacKey.generate()] * number, "event-1", NOW, BODY)


@pytest.mark.parametrize("webhook_id", ["", "a.b", "a b", "é", "a\n", "x" * 129])
def test_an_id_that_could_be_read_in_two_ways_is_not_signed(webhook_id: str) -> None:
    with pytest.raises(ValueError, match="id"):
        sign([HmacKey.generate()], webhook_id, NOW, BODY)


def test_a_time_without_zone_is_not_signed() -> None:
    with pytest.raises(ValueError, match="aware"):
        sign([HmacKey.generate()], "event-1", NOW.replace(tzinfo=None), BODY)


@pytest.mark.parametrize("form", ["whsec_", "whsk_"])
@given(body=st.binary(max_size=100), at=st.integers(1, 2**32), position=st.integers(0, 99))
def test_one_changed_bit_of_any_body_is_refused(form: str, body: bytes, at: int, position: int) -> None:
    key = read_signing_key(Secret(form + base64.b64encode(bytes(32)).decode()))
    verifying = key.public() if isinstance(key, Ed25519Key) else key
    moment = datetime.fromtimestamp(at, UTC)
    headers = sign([key], "event-1", moment, body)
    changed = bytearray(body or b"\0")
    changed[position % len(changed)] ^= 1

    assert "event-1" == verify([verifying], headers, body, moment)
    with pytest.raises(WebhookRefused):
        verify([verifying], headers, bytes(changed), moment)
