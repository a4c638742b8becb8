"""Backfills on the running mesh: older mail becomes one event each, also while a worker is killed."""

import json
from collections import Counter
from typing import Any

import httpx
import pytest

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from tests.mesh.accounts import connect, created_events, new_address, subscribe
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(400)
SINCE = "30d"
BACKFILL = mail_pb2.EVENT_SOURCE_BACKFILL


def with_old_mail(mesh: Mesh, provider: str, count: int) -> tuple[str, str, list[str]]:
    """Connects and subscribes to a mailbox with old mail, and returns its address, its tenant and the mails' ids."""
    address = new_address(mesh, provider)
    mesh.simulator.call("POST", f"accounts/{address}/load", count=count, days=20)
    ids = [mail["id"] for mail in mesh.simulator.truth(address)["messages"]]
    tenant = connect(mesh, provider, address, ["mail.read"])
    subscribe(mesh, tenant)
    return address, tenant, ids


def backfill(mesh: Mesh, tenant: str) -> dict[str, Any]:
    """Runs a backfill to its end by the command line, and returns it."""
    done = mesh.run("backfill", tenant, "--since", SINCE, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("provider", "count"), [("ms365", 45), ("googlews", 30)])
def test_old_mail_becomes_one_event_each_while_a_worker_is_killed(mesh: Mesh, provider: str, count: int) -> None:
    address, tenant, ids = with_old_mail(mesh, provider, count)
    begun = mesh.run("backfill", tenant, "--since", SINCE, "--no-wait", "--json")
    eventually(lambda: created_events(mesh, tenant))
    for name in [name for name in mesh.ready.processes if name.startswith("worker")]:
        mesh.kill(name)
    new = mesh.simulator.deliver(address, subject="A new one")["id"]
    first, second = backfill(mesh, tenant), backfill(mesh, tenant)
    eventually(lambda: len(created_events(mesh, tenant)) >= count + 1)
    sources = {event.mail.message_id: event.mail.source for event in created_events(mesh, tenant)}

    assert "BACKFILL_STATE_RUNNING" == json.loads(begun.stdout)["state"]
    assert Counter([*ids, new]) == Counter(event.mail.message_id for event in created_events(mesh, tenant))
    assert {*ids} == {one for one, source in sources.items() if source == BACKFILL}
    assert all(event.mail.is_enriched for event in created_events(mesh, tenant))
    for done in (first, second):
        assert ("BACKFILL_STATE_FINISHED", done["since"]) == (done["state"], done["reachedAt"])


def test_mail_outside_of_the_subscription_and_before_the_time_makes_no_event(mesh: Mesh) -> None:
    address = new_address(mesh, "ms365")
    mesh.simulator.call("POST", f"accounts/{address}/load", count=3, days=20, folder="archive")
    mesh.simulator.deliver(address, subject="Too old", receivedAtMs=1_600_000_000_000, silent=True)
    tenant = connect(mesh, "ms365", address, ["mail.read"])
    subscribe(mesh, tenant)
    found = backfill(mesh, tenant)

    assert ("3", []) == (found["messages"], created_events(mesh, tenant))


def test_a_time_too_far_back_and_an_unknown_tenant_are_refused(mesh: Mesh) -> None:
    tenant = connect(mesh, "ms365", new_address(mesh, "ms365"), ["mail.read"])
    headers = {"authorization": f"Bearer {mesh.key}"}
    with httpx.Client(base_url=mesh.ready.http, headers=headers, timeout=60, trust_env=False) as client:
        none = client.get(f"/v1/tenants/{tenant}/backfill").json()
        old = client.post(f"/v1/tenants/{tenant}:backfill", json={"since": "2001-01-01T00:00:00Z"})
        unknown = client.get("/v1/tenants/019a9f0e-7c1e-7000-8000-00000000abcd/backfill")

    assert {} == none
    assert "FIELD_INVALID" == old.json()["details"][0]["reason"]
    assert "TENANT_NOT_FOUND" == unknown.json()["details"][0]["reason"]
