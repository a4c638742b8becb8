"""The whole line, for both providers: connect, subscribe, receive, process, serve."""

import uuid

import httpx
import pytest

from mailmesh.processor.v1 import event_pb2
from tests.mesh.accounts import PROVIDERS, connect, created_events, new_address, subscribe
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_mail_becomes_one_event_with_its_content(mesh: Mesh, provider: str) -> None:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address)
    subscribe(mesh, tenant)
    subject = f"Offer {uuid.uuid4()}"
    mail = mesh.simulator.deliver(address, subject=subject, text="How much is it?", **{"from": "ada@example.test"})

    events = eventually(lambda: created_events(mesh, tenant))

    assert [event.mail.message_id for event in events] == [mail["id"]]
    assert events[0].mail.is_enriched
    assert events[0].mail.message.subject == subject
    assert events[0].mail.provider == provider
    assert events[0].mail.tenant_id == tenant


@pytest.mark.parametrize("provider", PROVIDERS)
def test_rest_and_grpc_tell_the_same(mesh: Mesh, provider: str) -> None:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address)
    subscribe(mesh, tenant)
    mesh.simulator.generate(address, 5)
    over_grpc = eventually(lambda: _at_least(created_events(mesh, tenant), 5))

    query = {"cursor": "earliest", "filter.tenantIds": tenant, "filter.eventTypes": "mail.created", "pageSize": "1000"}
    headers = {"authorization": f"Bearer {mesh.key}"}
    answer = httpx.get(f"{mesh.ready.http}/v1/events", params=query, headers=headers, timeout=60)

    told = [event["mail"]["eventId"] for event in answer.json()["events"]]
    assert told == [event.mail.event_id for event in over_grpc]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_notification_that_comes_twice_is_one_event(mesh: Mesh, provider: str) -> None:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address)
    subscribe(mesh, tenant)
    mesh.simulator.fault(kind="double", endpoint="notify.*", account=address)
    mails = mesh.simulator.generate(address, 10)
    eventually(lambda: len(created_events(mesh, tenant)) >= len(mails))
    assert mesh.simulator.wait_until_idle(50)

    told = [event.mail.message_id for event in created_events(mesh, tenant)]
    assert sorted(told) == sorted(mail["id"] for mail in mails)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_was_never_announced_is_found_by_reconciliation(mesh: Mesh, provider: str) -> None:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address)
    subscribe(mesh, tenant)
    mesh.simulator.fault(kind="drop", endpoint="notify.*", account=address)
    mails = mesh.simulator.generate(address, 3)
    done = mesh.run("reconcile", tenant)

    assert done.returncode == 0, done.stderr
    events = eventually(lambda: _at_least(created_events(mesh, tenant), len(mails)))
    assert sorted(event.mail.message_id for event in events) == sorted(mail["id"] for mail in mails)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_in_trouble_delays_and_loses_nothing(mesh: Mesh, provider: str) -> None:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address)
    subscribe(mesh, tenant)
    endpoint = "graph.*" if provider == "ms365" else "gmail.*"
    mesh.simulator.fault(kind="status", status=503, endpoint=endpoint, account=address, count=4)
    mails = mesh.simulator.generate(address, 5)

    events = eventually(lambda: _at_least(created_events(mesh, tenant), len(mails)), 60)
    assert sorted(event.mail.message_id for event in events) == sorted(mail["id"] for mail in mails)


def test_a_stranger_gets_nothing_without_a_key(mesh: Mesh) -> None:
    answer = httpx.get(f"{mesh.ready.http}/v1/tenants", timeout=60)

    assert answer.status_code == 401
    assert answer.json()["details"][0]["reason"] == "API_KEY_INVALID"


def _at_least(events: list[event_pb2.Event], count: int) -> list[event_pb2.Event]:
    return events if len(events) >= count else []
