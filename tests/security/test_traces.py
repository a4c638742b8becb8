"""One trace goes from the edge to the event, by the correlation id that the event carries."""

import pytest

from mailmesh.processor.v1 import processor_service_pb2, processor_service_pb2_grpc
from tests.mesh.accounts import PROVIDERS, connect, created_events, new_address, subscribe
from tests.programs.collector import Collector
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(300)
EXPORT_SECONDS = 60.0
WAY = {"edge", "ingest", "processor"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_one_trace_goes_from_the_edge_to_the_event(mesh: Mesh, collector: Collector, provider: str) -> None:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address)
    subscribe(mesh, tenant)
    # The reconciliation that follows creation must not find the mail before the push reports it.
    mesh.simulator.deliver(address, subject="First")
    eventually(lambda: created_events(mesh, tenant))
    assert mesh.simulator.wait_until_idle(50)
    eventually(lambda: _is_worked(mesh, tenant), what="nothing of the mailbox waits")
    mesh.simulator.deliver(address, subject="Second")
    event = eventually(lambda: created_events(mesh, tenant)[1:])[0]

    correlation_id = event.mail.correlation_id
    eventually(lambda: WAY <= _services(collector, correlation_id), EXPORT_SECONDS, what="the spans of the whole way")


def _is_worked(mesh: Mesh, tenant: str) -> bool:
    """Return whether a mailbox has no waiting or leased item: a reconciliation stays in the inbox until it is done."""
    request = processor_service_pb2.GetPipelineStatusRequest(max_tenants=1000)
    status = processor_service_pb2_grpc.ProcessorServiceStub(mesh.channel).GetPipelineStatus(request)
    return not status.unavailable and [0] == [lag.inbox_pending for lag in status.tenants if lag.tenant_id == tenant]


def _services(collector: Collector, correlation_id: str) -> set[str]:
    """Return the processes whose spans belong to the request that caused the event."""
    edge = [span for span in collector.spans if span.attributes.get("guid:x-request-id") == correlation_id]
    return {span.service for one in edge[:1] for span in collector.trace(one.trace_id)}
