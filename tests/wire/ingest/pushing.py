"""Short ways to call Ingest's RPCs, for tests."""

from typing import Any

import grpc
from google.api.httpbody_pb2 import HttpBody

from mailmesh.ingest.v1 import inbox_service_pb2 as inbox_pb2
from mailmesh.ingest.v1 import ingest_service_pb2 as ingest_pb2
from tests.factories.ingest import push_claims

WORKER = "worker-1"


def body_of(data: bytes) -> HttpBody:
    return HttpBody(content_type="application/json", data=data)


async def push_graph(clients: Any, body: bytes, subscription_id: str = "") -> str:
    """Pushes as Graph does and gives the HTTP status that the edge would answer."""
    request = ingest_pb2.ReceiveGraphNotificationsRequest(payload=body_of(body), subscription_id=subscription_id)
    call = clients.webhooks.ReceiveGraphNotifications(request)
    answer = await call
    assert b"" == answer.payload.data
    return str(dict(await call.initial_metadata())["x-http-status"])


async def push_packed(clients: Any, body: bytes, encoding: str) -> None:
    """Pushes as Graph does behind a proxy that packs bodies."""
    request = ingest_pb2.ReceiveGraphNotificationsRequest(payload=body_of(body))
    await clients.webhooks.ReceiveGraphNotifications(request, metadata=(("content-encoding", encoding),))


async def push_lifecycle(clients: Any, body: bytes, subscription_id: str = "") -> str:
    """Pushes a lifecycle notification as Graph does."""
    request = ingest_pb2.ReceiveGraphLifecycleRequest(payload=body_of(body), subscription_id=subscription_id)
    call = clients.webhooks.ReceiveGraphLifecycle(request)
    await call
    return str(dict(await call.initial_metadata())["x-http-status"])


async def push_gmail(clients: Any, body: bytes, claims: str | None = None, *more: tuple[str, str]) -> str:
    """Pushes as Pub/Sub does, by default with the right claims."""
    headers = (("x-mailmesh-push-claims", push_claims() if claims is None else claims), *more)
    call = clients.webhooks.ReceiveGmailPush(
        ingest_pb2.ReceiveGmailPushRequest(payload=body_of(body)), metadata=headers
    )
    answer = await call
    assert HttpBody() == answer.payload
    return str(dict(await call.initial_metadata())["x-http-status"])


async def claim_all(clients: Any, worker: str = WORKER) -> list[Any]:
    """Claims what is due of all tenants and gives the items."""
    request = inbox_pb2.ClaimItemsRequest(worker_id=worker, max_items=500, max_tenants=50)
    answer = await clients.inbox.ClaimItems(request)
    return [item for lease in answer.leases for item in lease.items]


async def http_status(push: Any) -> str:
    """The HTTP status of a push, refusals included, as the edge makes it of the code."""
    try:
        return str(await push)
    except grpc.aio.AioRpcError as exc:
        return {"UNAVAILABLE": "503", "RESOURCE_EXHAUSTED": "503", "UNAUTHENTICATED": "401"}[exc.code().name]
