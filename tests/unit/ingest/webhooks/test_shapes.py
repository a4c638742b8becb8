"""Every form of the providers' notifications, from files, with the expected result."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.ingest.webhooks.google import parse_push
from services.ingest.webhooks.microsoft import GraphChange, GraphLifecycle, parse_notifications
from services.ingest.webhooks.untrusted_json import UnreadableError

DATA = Path(__file__).parents[3] / "data"
GRAPH = sorted((DATA / "ms365" / "notifications").glob("*.expected.json"))
GMAIL = sorted((DATA / "googlews" / "notifications").glob("*.expected.json"))


def name_of(path: Path) -> str:
    return path.name.removesuffix(".expected.json")


def body_of(expected: Path) -> bytes:
    return expected.with_name(f"{name_of(expected)}.json").read_bytes()


def shown(found: GraphChange | GraphLifecycle | UnreadableError) -> dict[str, Any]:
    match found:
        case UnreadableError():
            return {"kind": "unreadable", "cause": found.cause}
        case GraphLifecycle():
            return {"kind": "lifecycle", "subscription": found.provider_subscription_id, "event": found.event}
    return {
        "kind": "event" if found.is_of_calendar else "change",
        "subscription": found.provider_subscription_id,
        "change_type": found.change_type,
        "message_id": found.message_id,
        "etag": found.etag,
    }


@pytest.mark.parametrize("path", GRAPH, ids=name_of)
def test_graph_notifications_of_every_shape_are_understood(path: Path) -> None:
    expected = json.loads(path.read_text())["found"]

    assert expected == [shown(found) for found in parse_notifications(body_of(path))]


@pytest.mark.parametrize("path", GRAPH, ids=name_of)
def test_what_is_secret_in_a_notification_is_not_kept(path: Path) -> None:
    for found in parse_notifications(body_of(path)):
        if isinstance(found, GraphChange):
            for secret in (b"secretClientState", b"clientState", b"encryptedContent", b"validationTokens", b"dataKey"):
                assert secret not in found.content
            assert 32 == len(found.client_state_digest)


def test_a_field_that_is_not_known_yet_is_kept() -> None:
    [found] = parse_notifications((DATA / "ms365" / "notifications" / "with-unknown-fields.json").read_bytes())

    assert isinstance(found, GraphChange)
    assert {"deep": [1, 2, {"x": None}]} == json.loads(found.content)["somethingNew"]


@pytest.mark.parametrize("path", GMAIL, ids=name_of)
def test_pushes_of_every_shape_are_understood(path: Path) -> None:
    expected = json.loads(path.read_text())["found"]

    if "unreadable" in expected:
        with pytest.raises(UnreadableError) as caught:
            parse_push(body_of(path))
        assert expected == {"unreadable": caught.value.cause}
    else:
        push = parse_push(body_of(path), "header-id")
        assert expected == {"address": push.address, "history_id": push.history_id, "message_id": push.message_id}
