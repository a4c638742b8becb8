"""Tenants, subscriptions and webhook bodies for tests of Ingest."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg

from services.meshkit.ids import new_id

STATES = {"pending": 1, "active": 2, "failing": 3, "suspended": 4, "polling": 5, "deleting": 6, "deleted": 7}
STATUSES = {
    "active": 1,
    "token_expired": 2,
    "needs_reauthorization": 3,
    "error": 4,
    "disabled": 5,
    "disconnecting": 6,
    "disconnected": 7,
}


@dataclass(frozen=True)
class Watched:
    """A tenant with one subscription, as it lies in the store."""

    tenant_id: str
    subscription_id: str
    provider_subscription_id: str
    client_state: str
    address: str
    provider: str = "ms365"
    raw: dict[str, Any] = field(default_factory=dict)


async def add_tenant(
    connection: asyncpg.Connection,
    provider: str = "ms365",
    status: str = "active",
    address: str = "",
    tenant_id: str = "",
) -> str:
    """Adds a tenant with its mailbox, as following TokenVault would."""
    tenant_id = tenant_id or new_id()
    waits = status not in ("active", "token_expired")
    await connection.execute(
        "INSERT INTO ingest.tenants (tenant_id, provider, external_tenant_id, user_id, address, status)"
        " VALUES ($1, $2, 'external-1', 'user-1', $3, $4)",
        tenant_id,
        provider,
        address or f"{tenant_id}@example.com",
        STATUSES[status],
    )
    await connection.execute("INSERT INTO ingest.mailboxes (tenant_id, is_waiting) VALUES ($1, $2)", tenant_id, waits)
    return tenant_id


async def add_watched(
    connection: asyncpg.Connection,
    provider: str = "ms365",
    state: str = "active",
    status: str = "active",
    address: str = "",
    tenant_id: str = "",
) -> Watched:
    """Adds a tenant with a subscription. A pending one has no provider's id yet."""
    if not tenant_id:
        tenant_id = await add_tenant(connection, provider, status, address)
    made = Watched(
        tenant_id=tenant_id,
        subscription_id=new_id(),
        provider_subscription_id=new_id(),
        client_state=f"canary-client-state-{new_id()}",
        address=address or f"{tenant_id}@example.com",
        provider=provider,
    )
    is_known = provider == "ms365" and state != "pending"
    await connection.execute(
        "INSERT INTO ingest.subscriptions (subscription_id, tenant_id, provider, state, folder_id, change_types,"
        " watched, delivery_mode, provider_subscription_id, client_state_digest, covered_from)"
        " VALUES ($1, $2, $3, $4, 'inbox', '{created,deleted,updated}', $5, 1, $6, $7, now())",
        made.subscription_id,
        tenant_id,
        provider,
        STATES[state],
        f"folder:{made.subscription_id}",
        made.provider_subscription_id if is_known else None,
        hashlib.sha256(made.client_state.encode()).digest() if provider == "ms365" else None,
    )
    return made


def graph_item(watched: Watched, message_id: str = "", **overrides: Any) -> dict[str, Any]:
    """A change notification of Graph."""
    message_id = message_id or f"AAMk{new_id()}"
    path = f"Users/7c1e/Messages/{message_id}"
    return {
        "subscriptionId": watched.provider_subscription_id,
        "subscriptionExpirationDateTime": "2026-11-27T09:00:00.0000000+00:00",
        "clientState": watched.client_state,
        "changeType": "created",
        "tenantId": "11d2f3a0-0000-4000-8000-000000000001",
        "resource": path,
        "resourceData": {
            "@odata.type": "#Microsoft.Graph.Message",
            "@odata.id": path,
            "@odata.etag": f'W/"{message_id[-12:]}"',
            "id": message_id,
        },
    } | overrides


def graph_body(*items: Any) -> bytes:
    """The body of a POST of Graph."""
    return json.dumps({"value": list(items)}).encode()


def lifecycle_item(watched: Watched, event: str = "missed", **overrides: Any) -> dict[str, Any]:
    """A lifecycle notification of Graph."""
    return {
        "subscriptionId": watched.provider_subscription_id,
        "subscriptionExpirationDateTime": "2026-11-27T09:00:00Z",
        "tenantId": "11d2f3a0-0000-4000-8000-000000000001",
        "clientState": watched.client_state,
        "lifecycleEvent": event,
    } | overrides


def push_body(address: str, history_id: int | str = 1001, message_id: str = "") -> bytes:
    """The body of a Pub/Sub push about Gmail."""
    message_id = message_id or new_id()
    data = base64.b64encode(json.dumps({"emailAddress": address, "historyId": history_id}).encode()).decode()
    message = {
        "data": data,
        "messageId": message_id,
        "message_id": message_id,
        "publishTime": datetime.now(UTC).isoformat(),
        "attributes": {},
    }
    return json.dumps({"message": message, "subscription": "projects/p/subscriptions/s"}).encode()


def push_claims(email: str = "push@project.iam.gserviceaccount.com", **overrides: Any) -> str:
    """The header by which the edge passes on the claims of a token that it has verified."""
    claims = {"iss": "https://accounts.google.com", "email": email, "email_verified": True} | overrides
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
