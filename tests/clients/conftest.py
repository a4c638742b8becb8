"""The edge that the clients' programs and pages talk to."""

from collections.abc import Iterator

import pytest
from anyio.from_thread import start_blocking_portal

from stack.certificates import MeshCertificates
from tests.clients.served import ServedEdge, serve


@pytest.fixture(scope="session")
def edge(certificates: MeshCertificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedEdge]:
    """A running edge with five tenants and nine events behind it.

    It runs in a thread of its own: while a test compiles a program, the edge must find its services well.
    """
    folder = tmp_path_factory.mktemp("edge")
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serve(certificates, folder)) as served:
        yield served
