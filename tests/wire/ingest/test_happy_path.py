"""A pushed notification is given out once, and gone when it is acknowledged."""

from typing import Any

import asyncpg
from google.api.httpbody_pb2 import HttpBody

from mailmesh.ingest.v1 import inbox_service_pb2 as inbox_pb2
from mailmesh.ingest.v1 import ingest_service_pb2 as ingest_pb2
from tests.factories.ingest import add_watched, graph_body, graph_item, push_body, push_claims


async def push_graph(clients: Any, body: bytes, subscription_id: str = "") -> tuple[bytes, str]:
    request = ingest_pb2.ReceiveGraphNotificationsRequest(
        payload=HttpBody(content_type="application/json", data=body), subscription_id=subscription_id
    )
    call = clients.webhooks.ReceiveGraphNotifications(request)
    answer = await call
    headers = dict(await call.initial_metadata())
    return answer.payload.data, headers["x-http-status"]


async def test_a_graph_notification_is_given_out_and_acknowledged(clients: Any, database: asyncpg.Connection) -> None:
    watched = await add_watched(database)
    item = graph_item(watched, "AAMkAG1")

    assert (b"", "202") == await push_graph(clients, graph_body(item))

    answer = await clients.inbox.ClaimItems(inbox_pb2.ClaimItemsRequest(worker_id="worker-1"))
    [lease] = answer.leases
    [given] = lease.items
    assert (watched.tenant_id, 1, 1) == (lease.tenant_id, lease.fence, given.attempts)
    assert ("mail.created", "AAMkAG1", "ms365") == (given.mail.event_type, given.mail.message_id, given.mail.provider)
    assert [watched.subscription_id] == list(given.mail.subscription_ids)
    assert [watched.subscription_id] == [watch.subscription_id for watch in lease.watches]
    assert "clientState" not in given.mail.raw
    assert given.mail.raw["resourceData"]["id"] == "AAMkAG1"

    await clients.inbox.AckItems(
        inbox_pb2.AckItemsRequest(tenant_id=lease.tenant_id, fence=lease.fence, item_ids=[given.item_id])
    )
    again = await clients.inbox.ClaimItems(inbox_pb2.ClaimItemsRequest(worker_id="worker-1"))
    assert [] == list(again.leases)
    assert 1 == await database.fetchval("SELECT count(*) FROM ingest.worked_items")
    assert 0 == await database.fetchval("SELECT count(*) FROM ingest.worked_items_default")


async def test_a_gmail_push_is_given_out(clients: Any, database: asyncpg.Connection) -> None:
    watched = await add_watched(database, provider="googlews", address="ann@example.com")
    request = ingest_pb2.ReceiveGmailPushRequest(
        payload=HttpBody(data=push_body("Ann@Example.com", "9876543210", "204"))
    )
    call = clients.webhooks.ReceiveGmailPush(request, metadata=(("x-mailmesh-push-claims", push_claims()),))
    await call

    assert dict(await call.initial_metadata())["x-http-status"] == "204"
    answer = await clients.inbox.ClaimItems(inbox_pb2.ClaimItemsRequest(worker_id="worker-1"))
    [lease] = answer.leases
    [given] = lease.items
    assert watched.tenant_id == lease.tenant_id
    assert (9876543210, "204") == (given.mailbox_changed.history_id, given.mailbox_changed.pubsub_message_id)


async def test_the_validation_token_is_echoed_as_plain_text(clients: Any) -> None:
    call = clients.webhooks.ReceiveGraphNotifications(
        ingest_pb2.ReceiveGraphNotificationsRequest(validation_token="Validation: Testing client/+ é")
    )
    answer = await call

    assert "Validation: Testing client/+ é".encode() == answer.payload.data
    assert answer.payload.content_type.startswith("text/plain")
    assert "x-http-status" not in dict(await call.initial_metadata())
