"""Labels on arrival on the running mesh: one for each mail, although Processor and Primitives are killed meanwhile."""

import json
from collections import Counter
from typing import Any

import httpx
import pytest

from mailmesh.processor.v1 import event_pb2
from tests.mesh.accounts import PROVIDERS, all_events, connect, created_events, new_address, subscribe
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(500)
LABELS = {
    "bill": ["The amount on your bill is wrong.", "Our invoice is attached."],
    "delivery": ["Where is my parcel?", "My order has not arrived."],
}
OPTIONS = [f"--label={name}={example}" for name, examples in LABELS.items() for example in examples]
TEXTS = {
    "delivery": "Two of the five chairs that we ordered are missing from the parcel.",
    "bill": "The amount on the invoice that you sent us is twice what we agreed.",
}


def labels(mesh: Mesh, tenant: str) -> list[event_pb2.Event]:
    """Read the events with labels."""
    return [event for event in all_events(mesh, tenant) if event.mail.event_type == "mail.classified"]


def when_all_have_one(mesh: Mesh, tenant: str, count: int) -> list[event_pb2.Event]:
    found = labels(mesh, tenant)
    return found if len(found) >= count else []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_mail_gets_its_label_after_its_event_and_only_while_enabled(mesh: Mesh, provider: str) -> None:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address, ["mail.read"])
    subscribe(mesh, tenant)
    mesh.simulator.deliver(address, subject="Before", text=TEXTS["bill"])
    eventually(lambda: created_events(mesh, tenant), what="the first mail is an event")
    enabled = json.loads(mesh.run("classification", "enable", tenant, *OPTIONS, "--json").stdout)
    for text in TEXTS.values():
        mesh.simulator.deliver(address, subject="Order", text=text)
    found = eventually(lambda: when_all_have_one(mesh, tenant, 2), 200, what="both mails have a label")
    with httpx.Client(base_url=mesh.ready.http, timeout=60, trust_env=False) as client:
        headers = {"authorization": f"Bearer {mesh.key}"}
        asked = {"cursor": "earliest", "filter.tenantIds": tenant, "filter.eventTypes": "mail.classified"}
        by_rest: Any = client.get("/v1/events", params=asked, headers=headers).json()
    disabled = json.loads(mesh.run("classification", "disable", tenant, "--json").stdout)
    events = {event.mail.event_id: place for place, event in enumerate(all_events(mesh, tenant))}

    assert (True, 2) == (enabled["settings"]["isEnabled"], len(enabled["settings"]["labels"]))
    assert sorted(TEXTS) == sorted(event.mail.classification.label for event in found)
    assert all(events[one.mail.classification.classified_event_id] < events[one.mail.event_id] for one in found)
    assert sorted(TEXTS) == sorted(one["mail"]["classification"]["label"] for one in by_rest["events"])
    assert [] == disabled["settings"]["labels"]
    assert "settingsVersion" in disabled["progress"]


def test_each_mail_has_one_label_although_processor_and_primitives_are_killed(mesh: Mesh) -> None:
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address, ["mail.read"])
    subscribe(mesh, tenant)
    assert mesh.run("classification", "enable", tenant, *OPTIONS).returncode == 0
    expected = {}
    for number in range(30):
        label = "bill" if number % 2 else "delivery"
        expected[f"Order {number}"] = label
        mesh.simulator.deliver(address, subject=f"Order {number}", text=TEXTS[label])
        if number in (8, 20):
            mesh.kill("processor" if number == 8 else "primitives")
    found = eventually(lambda: when_all_have_one(mesh, tenant, 30), 400, what="all mails have a label")
    subjects = {event.mail.event_id: event.mail.message.subject for event in created_events(mesh, tenant)}
    got = [(subjects[one.mail.classification.classified_event_id], one.mail.classification.label) for one in found]

    assert 1 == max(Counter(subject for subject, _ in got).values())
    assert expected == dict(got)
