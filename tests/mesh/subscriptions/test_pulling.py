"""Gmail's notifications reach an installation without a public address, and a killed Ingest loses none of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailmesh.ingest.v1 import subscription_service_pb2 as subscriptions
from tests.mesh.accounts import connect, created_events, new_address, subscribe, told_when_all_are
from tests.programs.mesh import Mesh, eventually, running_mesh
from tests.programs.providers import Providers

pytestmark = pytest.mark.timeout(400)
NAME = "projects/mailmesh-simulator/subscriptions/gmail-pull"
COUNT = 6


@pytest.fixture
def pulling(providers: Providers, short_folder: Path) -> Iterator[Mesh]:
    """A mesh whose notifications of Google are pulled: Pub/Sub pushes nowhere."""
    control = providers.control
    control.call("PATCH", "pubsub", endpoint="")
    control.call("PATCH", "pubsub/pull", exists=True)
    environment = {
        "MAILMESH_GOOGLEWS_PUBSUB_SUBSCRIPTION": NAME,
        "MAILMESH_GOOGLEWS_PUBSUB_KEY": json.dumps(control.call("POST", "pubsub/key")),
        "MAILMESH_INGEST_PULL_SECONDS": "2",
    }
    options = (*providers.options, "--ingest-processes", "2")
    with running_mesh(short_folder / "pull", *options, environment={**providers.environment, **environment}) as mesh:
        providers.serve(mesh)
        yield mesh


def test_mail_is_pulled_without_a_push_and_a_killed_ingest_loses_none(pulling: Mesh) -> None:
    address = new_address(pulling, "googlews")
    tenant = connect(pulling, "googlews", address)
    made = subscribe(pulling, tenant)
    assert made.delivery_mode == subscriptions.DELIVERY_MODE_PUSH
    first = pulling.simulator.generate(address, COUNT)
    wanted = sorted(mail["id"] for mail in first)
    assert eventually(lambda: told_when_all_are(pulling, tenant, COUNT), 60) == wanted

    # The messages of the next pull are leased to a process that dies before it acknowledges any of them.
    pulling.simulator.call("PATCH", "settings", pubsub_ack_deadline_seconds=5)
    pulling.simulator.fault(kind="latency", endpoint="pubsub.acknowledge", seconds=30, count=1)
    before = pulling.simulator.call("GET", "pubsub/pull")
    second = pulling.simulator.generate(address, COUNT, first=COUNT)
    eventually(lambda: pulling.simulator.call("GET", "pubsub/pull")["delivered"] > before["delivered"])
    for name in [name for name in pulling.ready.processes if name.startswith("ingest")]:
        pulling.kill(name)

    wanted = sorted(mail["id"] for mail in (*first, *second))
    assert eventually(lambda: told_when_all_are(pulling, tenant, len(wanted)), 120) == wanted
    assert len(created_events(pulling, tenant)) == len(wanted)
    eventually(lambda: _is_settled(pulling), 60)
    after = pulling.simulator.call("GET", "pubsub/pull")
    assert after["redelivered"] > before["redelivered"]
    assert pulling.simulator.call("GET", "pushes")["counts"].get("notify.gmail.posts", 0) == 0


def _is_settled(mesh: Mesh) -> bool:
    """Tell whether everything that was published has been acknowledged."""
    state = mesh.simulator.call("GET", "pubsub/pull")
    return not state["waiting"] and not state["leased"]
