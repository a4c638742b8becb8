"""Subscriptions are renewed, recreated and reconciled, whatever the providers do with them."""

import pytest

from mailmesh.ingest.v1 import subscription_service_pb2 as messages
from tests.mesh.accounts import (
    PROVIDERS,
    connect,
    created_events,
    new_address,
    subscribe,
    subscription_of,
    told_when_all_are,
)
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_subscription_is_renewed_on_demand(mesh: Mesh, provider: str) -> None:
    tenant = connect(mesh, provider, new_address(mesh, provider))
    made = subscribe(mesh, tenant)
    done = mesh.run("subscriptions", "renew", made.subscription_id)

    assert done.returncode == 0, done.stderr
    renewed = subscription_of(mesh, made.subscription_id)
    assert renewed.state == messages.SUBSCRIPTION_STATE_ACTIVE
    assert renewed.expires_at.ToNanoseconds() >= made.expires_at.ToNanoseconds()
    assert renewed.last_renewed_at.ToNanoseconds() > made.last_renewed_at.ToNanoseconds()


def test_graph_asks_for_a_renewal_and_gets_it(mesh: Mesh) -> None:
    address = new_address(mesh, "ms365")
    made = subscribe(mesh, connect(mesh, "ms365", address))
    _lifecycle(mesh, made, "reauthorizationRequired")

    before = made.last_renewed_at.ToNanoseconds()
    eventually(lambda: subscription_of(mesh, made.subscription_id).last_renewed_at.ToNanoseconds() > before)


def test_a_subscription_that_graph_removed_is_made_anew(mesh: Mesh) -> None:
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address)
    made = subscribe(mesh, tenant)
    _lifecycle(mesh, made, "subscriptionRemoved")
    lost = mesh.simulator.generate(address, 2)

    eventually(lambda: _is_another(mesh, made))
    fresh = mesh.simulator.generate(address, 2, first=2)
    wanted = sorted(mail["id"] for mail in (*lost, *fresh))
    assert eventually(lambda: told_when_all_are(mesh, tenant, len(wanted)), 60) == wanted


def test_what_graph_missed_is_reconciled(mesh: Mesh) -> None:
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address)
    made = subscribe(mesh, tenant)
    mesh.simulator.fault(kind="drop", endpoint="notify.graph", account=address)
    mails = mesh.simulator.generate(address, 3)
    _lifecycle(mesh, made, "missed")

    wanted = sorted(mail["id"] for mail in mails)
    assert eventually(lambda: told_when_all_are(mesh, tenant, len(wanted)), 60) == wanted


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_lost_cursor_costs_no_mail(mesh: Mesh, provider: str) -> None:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address)
    subscribe(mesh, tenant)
    first = mesh.simulator.generate(address, 2)
    eventually(lambda: told_when_all_are(mesh, tenant, 2))
    mesh.simulator.call("POST", f"accounts/{address}/expire-history")
    second = mesh.simulator.generate(address, 2, first=2)
    mesh.run("reconcile", tenant)

    wanted = sorted(mail["id"] for mail in (*first, *second))
    assert eventually(lambda: told_when_all_are(mesh, tenant, len(wanted)), 60) == wanted
    assert len(created_events(mesh, tenant)) == len(wanted)


def _lifecycle(mesh: Mesh, made: messages.Subscription, event: str) -> None:
    mesh.simulator.call("POST", f"subscriptions/{made.provider_subscription_id}/lifecycle", event=event)


def _is_another(mesh: Mesh, made: messages.Subscription) -> bool:
    now = subscription_of(mesh, made.subscription_id)
    is_active = now.state == messages.SUBSCRIPTION_STATE_ACTIVE
    return is_active and now.provider_subscription_id not in ("", made.provider_subscription_id)
