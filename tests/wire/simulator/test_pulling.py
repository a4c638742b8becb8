"""The simulated Pub/Sub pull subscription, through Google's own client and Google's own service-account credentials."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import google_auth_httplib2
import httplib2
import pytest
from google.auth.exceptions import RefreshError
from google.oauth2 import service_account
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError

from tests.programs.simulator import RunningSimulator
from tests.wire.simulator.google_schema import check, document

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
NAME = "projects/mailmesh-simulator/subscriptions/gmail-pull"
SCOPE = "https://www.googleapis.com/auth/pubsub"


@pytest.fixture
async def pulling(control) -> AsyncIterator[Any]:
    """The control, with an existing subscription that waits for nothing."""
    await control.set_pull(exists=True, refused=False)
    await control.set(pubsub_pull_wait_seconds=0)
    yield control
    await control.set_pull(exists=False)


@pytest.fixture
def client(simulator: RunningSimulator) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Makes Google's client for the subscription, with the key of a service account."""
    opened: list[httplib2.Http] = []

    def make(key: dict[str, Any]) -> Any:
        described = {**document("pubsub.v1"), "rootUrl": f"{simulator.google}/", "baseUrl": f"{simulator.google}/"}
        credentials = service_account.Credentials.from_service_account_info(key, scopes=[SCOPE])
        opened.append(httplib2.Http(ca_certs=str(simulator.ca_file), timeout=30))
        http = google_auth_httplib2.AuthorizedHttp(credentials, http=opened[-1])
        return build_from_document(described, http=http).projects().subscriptions()

    yield make
    for http in opened:
        http.close()


async def run(work: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(work)


def pull(service: Any, most: int = 10) -> list[dict[str, Any]]:
    answer = service.pull(subscription=NAME, body={"maxMessages": most}).execute()
    check("pubsub.v1", {"$ref": "PullResponse"}, answer, "PullResponse")
    return list(answer.get("receivedMessages", []))


def said(received: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(received["message"]["data"]))


async def test_a_message_is_delivered_until_it_is_acknowledged(pulling, client) -> None:
    service = client(await pulling.make_key())
    await pulling.set(pubsub_ack_deadline_seconds=60)
    await pulling.publish(address="ann@example.test", historyId=7)

    (first,) = await run(lambda: pull(service))
    assert said(first) == {"emailAddress": "ann@example.test", "historyId": 7}
    assert await run(lambda: pull(service)) == []
    await pulling.advance_clock(61)
    (second,) = await run(lambda: pull(service))
    assert first["message"]["messageId"] == second["message"]["messageId"]
    assert first["ackId"] != second["ackId"]

    def acknowledge(one: dict[str, Any]) -> Any:
        return service.acknowledge(subscription=NAME, body={"ackIds": [one["ackId"]]}).execute()

    assert await run(lambda: acknowledge(first)) == {}
    assert ((await pulling.pulled())["acknowledged"], (await pulling.pulled())["tooLate"]) == (0, 1)
    assert await run(lambda: acknowledge(second)) == {}
    await pulling.advance_clock(61)
    assert await run(lambda: pull(service)) == []


async def test_a_message_that_is_given_back_is_delivered_at_once(pulling, client) -> None:
    service = client(await pulling.make_key())
    await pulling.publish(historyId=1)
    (first,) = await run(lambda: pull(service))
    body = {"ackIds": [first["ackId"]], "ackDeadlineSeconds": 0}
    await run(lambda: service.modifyAckDeadline(subscription=NAME, body=body).execute())
    (second,) = await run(lambda: pull(service))

    assert first["message"] == second["message"]
    longer = {"ackIds": [second["ackId"]], "ackDeadlineSeconds": 600}
    await run(lambda: service.modifyAckDeadline(subscription=NAME, body=longer).execute())
    await pulling.advance_clock(599)
    assert await run(lambda: pull(service)) == []
    await pulling.advance_clock(2)
    assert len(await run(lambda: pull(service))) == 1


async def test_messages_come_in_no_order_and_at_most_as_many_as_were_asked_for(pulling, client) -> None:
    service = client(await pulling.make_key())
    for number in range(1, 31):
        await pulling.publish(historyId=number)
    first = await run(lambda: pull(service, 20))
    rest = await run(lambda: pull(service, 20))

    found = [said(one)["historyId"] for one in (*first, *rest)]
    assert (len(first), sorted(found)) == (20, list(range(1, 31)))
    assert found != sorted(found)


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("pull", {"maxMessages": 0}),
        ("pull", {}),
        ("acknowledge", {"ackIds": []}),
        ("acknowledge", {"ackIds": ["other"]}),
        ("modifyAckDeadline", {"ackIds": ["ack.x"], "ackDeadlineSeconds": 601}),
    ],
)
async def test_arguments_that_are_wrong_are_refused(pulling, client, verb: str, body: dict[str, Any]) -> None:
    service = client(await pulling.make_key())
    with pytest.raises(HttpError) as refused:
        await run(lambda: getattr(service, verb)(subscription=NAME, body=body).execute())
    assert refused.value.status_code == 400


async def test_only_the_consumer_of_an_existing_subscription_may_pull(pulling, client) -> None:
    key = await pulling.make_key()
    stranger = client(await pulling.make_key(address="other@mailmesh-simulator.iam.gserviceaccount.com"))
    with pytest.raises(HttpError) as refused:
        await run(lambda: pull(stranger))
    assert refused.value.status_code == 403
    allowed = {"permissions": ["pubsub.subscriptions.consume"]}

    def permissions(service: Any) -> Any:
        return service.testIamPermissions(resource=NAME, body=allowed).execute()

    assert await run(lambda: permissions(stranger)) == {}
    assert await run(lambda: permissions(client(key))) == allowed
    await pulling.set_pull(exists=False)
    with pytest.raises(HttpError) as missing:
        await run(lambda: pull(client(key)))
    assert missing.value.status_code == 404


async def test_a_removed_key_gets_no_token(pulling, client) -> None:
    service = client(await pulling.make_key())
    await pulling.remove_keys()
    with pytest.raises(RefreshError):
        await run(lambda: pull(service))


async def test_a_users_token_pulls_nothing(pulling, gmail, simulator) -> None:
    answer = await gmail.client.post(
        f"{simulator.google}/v1/{NAME}:pull",
        json={"maxMessages": 1},
        headers={"authorization": f"Bearer {gmail.tokens['access_token']}"},
    )
    assert answer.status_code == 403
