"""Accounts for tests of the whole mesh: each test has its own, so that one running mesh serves them all."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import grpc

from mailmesh.ingest.v1 import subscription_service_pb2 as subscriptions
from mailmesh.ingest.v1 import subscription_service_pb2_grpc as subscription_services
from mailmesh.processor.v1 import event_pb2
from mailmesh.processor.v1 import event_service_pb2 as events
from mailmesh.processor.v1 import event_service_pb2_grpc as event_services
from mailmesh.processor.v1 import message_service_pb2 as messages
from mailmesh.processor.v1 import message_service_pb2_grpc as message_services
from mailmesh.vault.v1 import tenant_pb2
from mailmesh.vault.v1 import tenant_service_pb2 as tenants
from mailmesh.vault.v1 import tenant_service_pb2_grpc as tenant_services
from tests.programs.mesh import Mesh, eventually

PROVIDERS = ("ms365", "googlews")
_numbers = itertools.count(1)


def in_a_week() -> str:
    """Return a time to which a send may be put off, whenever the tests run."""
    return (datetime.now(UTC) + timedelta(days=7)).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_address(mesh: Mesh, provider: str) -> str:
    """Adds an account to a simulated provider and returns its address."""
    domain = "contoso.test" if provider == "ms365" else "fabrikam.test"
    address = f"person{next(_numbers)}@{domain}"
    mesh.simulator.add_account(provider, address)
    return address


def connect(mesh: Mesh, provider: str, address: str, abilities: Sequence[str] = ()) -> str:
    """Connects an account through the provider's consent page and returns the tenant's id."""
    stub = tenant_services.TenantServiceStub(mesh.channel)
    request = tenants.StartAuthorizationRequest(provider=provider, login_hint=address, abilities=abilities)
    started = stub.StartAuthorization(request)
    page = mesh.consent(started.authorization_url, address)
    found = stub.ListTenants(tenants.ListTenantsRequest(address=address)).tenants
    assert len(found) == 1, f"{address} was not connected: {page}"
    if abilities:
        eventually(lambda: _is_known_to_processor(mesh, found[0].tenant_id), what="Processor knows the tenant")
    return found[0].tenant_id


def _is_known_to_processor(mesh: Mesh, tenant: str) -> bool:
    """Tells whether Processor has followed TokenVault as far as to a tenant: it learns of each a moment later."""
    try:
        message_services.MessageServiceStub(mesh.channel).GetProcessedMark(
            messages.GetProcessedMarkRequest(tenant_id=tenant)
        )
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return False
        if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
            raise
    return True


def tenant_of(mesh: Mesh, tenant: str) -> tenant_pb2.Tenant:
    """Reads a tenant."""
    return tenant_services.TenantServiceStub(mesh.channel).GetTenant(tenants.GetTenantRequest(tenant_id=tenant)).tenant


def subscribe(mesh: Mesh, tenant: str) -> subscriptions.Subscription:
    """Subscribes to a tenant's inbox."""
    stub = subscription_services.SubscriptionServiceStub(mesh.channel)
    return stub.CreateSubscription(subscriptions.CreateSubscriptionRequest(tenant_id=tenant)).subscription


def subscription_of(mesh: Mesh, subscription: str) -> subscriptions.Subscription:
    """Reads a subscription."""
    stub = subscription_services.SubscriptionServiceStub(mesh.channel)
    return stub.GetSubscription(subscriptions.GetSubscriptionRequest(subscription_id=subscription)).subscription


def all_events(mesh: Mesh, tenant: str) -> list[event_pb2.Event]:
    """Reads all mail events of a tenant, in order."""
    stub = event_services.EventServiceStub(mesh.channel)
    chosen = events.EventFilter(tenant_ids=[tenant], event_types=["mail.*"])
    request = events.ListEventsRequest(page_size=1000, cursor="earliest", filter=chosen)
    found: list[event_pb2.Event] = []
    while True:
        page = stub.ListEvents(request)
        found += page.events
        request.cursor = page.next_cursor
        if not page.has_more:
            return found


def created_events(mesh: Mesh, tenant: str) -> list[event_pb2.Event]:
    """Reads the events of a tenant that announce new mail, in order."""
    return [event for event in all_events(mesh, tenant) if event.mail.event_type == "mail.created"]


def told_when_all_are(mesh: Mesh, tenant: str, count: int) -> list[str]:
    """Returns the ids of the mails that were announced, sorted, once there are as many; empty before."""
    told = sorted(event.mail.message_id for event in created_events(mesh, tenant))
    return told if len(told) >= count else []
