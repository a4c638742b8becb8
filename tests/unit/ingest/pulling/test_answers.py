"""Answers of Pub/Sub that are not as Gmail's notifications make them: one of them must not stop the others."""

import base64
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.ingest.errors import InstallationMisconfigured, ProviderThrottled, ProviderUnavailable
from services.ingest.pulling.subscription import PulledMessage, PullSubscription
from services.ingest.webhooks.google import parse_message
from services.ingest.webhooks.untrusted_json import UnreadableError
from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret

GMAIL = base64.b64encode(b'{"emailAddress": "ann@example.test", "historyId": 1}').decode()
FOREIGN = base64.b64encode(b"," * 10_000_000).decode()


class Tokens:
    """Gives one token."""

    async def token(self, *, rejected: Secret | None = None) -> Secret:
        return Secret("token")

    async def aclose(self) -> None: ...


async def pulled(answer: Callable[[], httpx.Response]) -> list[PulledMessage]:
    """Pull once from a server that gives this answer."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer())) as http:
        name = "projects/p/subscriptions/s"
        return await PullSubscription(http, Tokens(), "https://pubsub.test/v1", name).pull(100, 1.0)  # type: ignore[arg-type]


def messages(*found: Any) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(200, json={"receivedMessages": found})


def readable(found: Sequence[PulledMessage]) -> list[str]:
    """Return the ack ids of the messages that are Gmail's."""
    ids = []
    for one in found:
        try:
            parse_message(one.message)
        except UnreadableError:
            continue
        ids.append(one.ack_id)
    return ids


async def test_the_largest_foreign_message_comes_with_the_others() -> None:
    foreign, gmail = ({"ackId": name, "message": {"data": data}} for name, data in (("a", FOREIGN), ("b", GMAIL)))
    found = await pulled(messages(foreign, gmail))

    assert ["a", "b"] == [one.ack_id for one in found]
    assert ["b"] == readable(found)


@pytest.mark.parametrize("entry", [None, [], {}, {"ackId": 7}, {"ackId": ""}, {"ackId": "x" * 5000}])
async def test_an_entry_without_a_usable_ack_id_does_not_stop_the_others(entry: Any) -> None:
    found = await pulled(messages(entry, {"ackId": "b", "message": {"data": GMAIL}}))

    assert ["b"] == readable(found)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, InstallationMisconfigured),
        (404, InstallationMisconfigured),
        (429, ProviderThrottled),
        (503, ProviderUnavailable),
    ],
)
@pytest.mark.parametrize("body", ["<html>an error", "[]", "x" * 20_000_000])
async def test_a_refusal_without_an_object_is_judged_by_its_status(
    status: int, error: type[MeshError], body: str
) -> None:
    with pytest.raises(error) as refused:
        await pulled(lambda: httpx.Response(status, text=body, headers={"retry-after": "70"}))
    assert (70 if status in (429, 503) else 0) == (refused.value.retry_after or timedelta()).total_seconds()


async def test_a_success_without_an_object_is_no_answer() -> None:
    with pytest.raises(ProviderUnavailable):
        await pulled(lambda: httpx.Response(200, text="<html>sign in"))
