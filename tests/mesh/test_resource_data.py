"""The whole way of a notification with resource data: from Graph over the edge to the event, through a rotation."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from mailmesh.ingest.v1 import subscription_service_pb2 as subscriptions
from mailmesh.ingest.v1 import subscription_service_pb2_grpc as subscription_services
from mailmesh.mail.v1 import event_pb2
from tests.mesh.accounts import connect, created_events, new_address
from tests.programs.mesh import Mesh, eventually, running_mesh

pytestmark = pytest.mark.timeout(500)


@pytest.fixture(scope="module")
def mesh(short_folder: Path) -> Iterator[Mesh]:
    """A mesh that accepts resource data."""
    with running_mesh(short_folder / "rich", environment={"MAILMESH_INGEST_RESOURCE_DATA": "true"}) as started:
        yield started


def sql(mesh: Mesh, statement: str, *values: object) -> list[asyncpg.Record]:
    async def fetch() -> list[asyncpg.Record]:
        url = json.loads(next((mesh.data / "environments").glob("ingest*.json")).read_text())["MAILMESH_DATABASE_URL"]
        connection = await asyncpg.connect(url)
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()

    return asyncio.run(fetch())


def test_mail_of_a_subscription_with_resource_data_becomes_events_through_a_rotation(mesh: Mesh) -> None:
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address)
    stub = subscription_services.SubscriptionServiceStub(mesh.channel)
    request = subscriptions.CreateSubscriptionRequest(tenant_id=tenant, includes_resource_data=True)
    made = stub.CreateSubscription(request).subscription

    def certificate() -> str:
        (row,) = sql(mesh, "SELECT certificate_id FROM ingest.subscriptions WHERE tenant_id = $1", tenant)
        return str(row["certificate_id"])

    old = certificate()
    mesh.simulator.deliver(address, subject="before")
    eventually(lambda: subjects(mesh, tenant) == ["before"])
    # Encrypted for the old certificate, and on its way while the certificate is replaced.
    mesh.simulator.fault(kind="late", endpoint="notify.graph", account=address, seconds=5, count=1)
    mesh.simulator.deliver(address, subject="on its way")
    sql(mesh, "UPDATE ingest.notification_certificates SET expires_at = now() + interval '1 day'")
    stub.RenewSubscription(subscriptions.RenewSubscriptionRequest(subscription_id=made.subscription_id))
    assert certificate() != old
    mesh.simulator.deliver(address, subject="after")

    eventually(lambda: subjects(mesh, tenant) == ["after", "before", "on its way"])
    counts = mesh.simulator.call("GET", "pushes")["counts"]
    assert {"notify.graph.status.202"} == {name for name in counts if name.startswith("notify.graph.status.")}
    sources = {event.mail.message.subject: event.mail.source for event in created_events(mesh, tenant)}
    assert event_pb2.EVENT_SOURCE_NOTIFICATION == sources["on its way"] == sources["after"]


def subjects(mesh: Mesh, tenant: str) -> list[str]:
    return sorted(event.mail.message.subject for event in created_events(mesh, tenant))
