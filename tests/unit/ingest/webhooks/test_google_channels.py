"""The headers of a channel's push: one that is not of ours is dropped before it is looked up."""

import hashlib

import pytest

from services.ingest.webhooks.google_channels import parse_channel_push
from services.ingest.webhooks.untrusted_json import UnreadableError

HEADERS = {
    "x-goog-channel-id": "019a9f0e-7c1e-7000-8000-000000000001",
    "x-goog-channel-token": "secret",
    "x-goog-resource-state": "exists",
    "x-goog-resource-id": "o3hg",
    "x-goog-message-number": "10",
}


def test_a_push_names_its_channel_and_never_keeps_its_secret() -> None:
    push = parse_channel_push(HEADERS)

    assert ("019a9f0e-7c1e-7000-8000-000000000001", "exists", "o3hg", "10") == (
        push.channel_id, push.state, push.resource_id, push.number
    )  # fmt: skip
    assert hashlib.sha256(b"secret").digest() == push.token_digest
    assert "secret" not in repr(push)


@pytest.mark.parametrize(
    ("header", "value", "cause"),
    [
        ("x-goog-channel-id", "", "no_channel_id"),
        ("x-goog-channel-id", "another-apps-channel", "no_channel_id"),
        ("x-goog-channel-id", "019A9F0E-7C1E-7000-8000-000000000001", "no_channel_id"),
        ("x-goog-channel-id", "019a9f0e-7c1e-7000-8000-000000000001'; DROP TABLE x", "no_channel_id"),
        ("x-goog-channel-token", "", "no_channel_token"),
        ("x-goog-channel-token", "x" * 257, "no_channel_token"),
        ("x-goog-resource-state", "", "no_resource_state"),
        ("x-goog-resource-state", "SYNC", "no_resource_state"),
        ("x-goog-message-number", "", "no_message_number"),
        ("x-goog-message-number", "-1", "no_message_number"),
        ("x-goog-message-number", "٣", "no_message_number"),
        ("x-goog-message-number", "9" * 21, "no_message_number"),
    ],
)
def test_a_push_without_a_part_of_its_proof_is_none(header: str, value: str, cause: str) -> None:
    with pytest.raises(UnreadableError) as refused:
        parse_channel_push({**HEADERS, header: value})
    assert cause == refused.value.cause


@pytest.mark.parametrize("resource_id", ["x" * 1025, "a\nb", "é"])
def test_a_resource_id_that_cannot_be_kept_is_left_out(resource_id: str) -> None:
    assert "" == parse_channel_push({**HEADERS, "x-goog-resource-id": resource_id}).resource_id


def test_a_push_may_lack_its_resource() -> None:
    headers = {name: value for name, value in HEADERS.items() if name != "x-goog-resource-id"}
    assert "" == parse_channel_push(headers).resource_id
