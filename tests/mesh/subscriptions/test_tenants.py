"""Subscriptions follow their tenants: states, keys' scopes, many at once, two processes."""

from typing import Any

import pytest

from mailmesh.ingest.v1 import inbox_item_pb2 as inbox
from services.meshkit.ids import new_id
from tests.programs.kept import Connected, Kept, until

pytestmark = pytest.mark.timeout(300)
PROVIDERS = ("ms365", "googlews")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_disabled_tenants_subscription_lapses_and_is_made_anew(kept: Kept, provider: str) -> None:
    account = kept.connect(provider)
    made = kept.subscribe(account)
    kept.post(f"/v1/tenants/{account.tenant_id}:disable")
    until(lambda: kept.state(made["subscriptionId"]) == "SUSPENDED")
    assert _is_there(kept, account)
    answer = kept.api.post(f"/v1/subscriptions/{made['subscriptionId']}:renew", json={})
    assert _reason(answer.json()) == "TENANT_DISABLED"
    _lose(kept, account, made)
    kept.empty_inbox(account)
    kept.post(f"/v1/tenants/{account.tenant_id}:enable")

    until(lambda: kept.state(made["subscriptionId"]) == "ACTIVE")
    assert _is_there(kept, account)
    assert kept.reconciles(account) == {inbox.RECONCILE_REASON_RECONNECTED}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_disconnecting_deletes_at_the_provider_and_reconnecting_makes_anew(kept: Kept, provider: str) -> None:
    account = kept.connect(provider)
    first, second = kept.subscribe(account), kept.subscribe(account, allMail=True)
    kept.post(f"/v1/tenants/{account.tenant_id}:disconnect")
    until(lambda: kept.tenant(account)["status"] == "TENANT_STATUS_DISCONNECTED")

    assert not _is_there(kept, account)
    for one in (first, second):
        until(lambda one=one: kept.state(one["subscriptionId"]) == "SUSPENDED")
    kept.empty_inbox(account)
    assert kept.consent(account) == account
    for one in (first, second):
        until(lambda one=one: kept.state(one["subscriptionId"]) == "ACTIVE")
    assert _is_there(kept, account)
    assert inbox.RECONCILE_REASON_RECONNECTED in kept.reconciles(account)


def test_a_disconnect_of_a_disabled_tenant_ends_its_subscriptions_too(kept: Kept) -> None:
    account = kept.connect("ms365")
    made = kept.subscribe(account)
    kept.post(f"/v1/tenants/{account.tenant_id}:disable")
    until(lambda: kept.state(made["subscriptionId"]) == "SUSPENDED")
    kept.post(f"/v1/tenants/{account.tenant_id}:disconnect")

    until(lambda: kept.tenant(account)["status"] == "TENANT_STATUS_DISCONNECTED")
    assert kept.at_graph(account) == []


def test_a_lost_grant_shows_on_the_subscription_and_heals_with_the_reconnect(kept: Kept) -> None:
    account = kept.connect("ms365")
    made = kept.subscribe(account)
    kept.simulator.call("POST", f"accounts/{account.address}/revoke", access=True)
    kept.expire_token(account)
    kept.make_due(made["subscriptionId"])
    until(lambda: kept.state(made["subscriptionId"]) == "FAILING")

    assert kept.subscription(made["subscriptionId"])["failureReason"] == "TENANT_NEEDS_REAUTHORIZATION"
    kept.empty_inbox(account)
    kept.consent(account)
    until(lambda: kept.state(made["subscriptionId"]) == "ACTIVE")
    assert inbox.RECONCILE_REASON_RECONNECTED in kept.reconciles(account)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_polling_asks_nothing_of_the_provider(kept: Kept, provider: str) -> None:
    account = kept.connect(provider)
    made = kept.subscribe(account, deliveryMode="DELIVERY_MODE_POLL")

    assert (made["state"], "expiresAt" in made, "renewAt" in made) == ("SUBSCRIPTION_STATE_POLLING", False, False)
    assert not _is_there(kept, account)
    assert kept.reconciles(account) == {inbox.RECONCILE_REASON_CREATED}
    assert [made["subscriptionId"]] == [watched.subscription_id for watched in kept.watched(account)]
    deleted = kept.api.delete(f"/v1/subscriptions/{made['subscriptionId']}").json()["subscription"]
    assert deleted["state"] == "SUBSCRIPTION_STATE_DELETED"


def test_many_are_made_at_once_with_a_result_for_each(kept: Kept) -> None:
    accounts = [kept.connect(provider) for provider in (*PROVIDERS, "ms365")]
    kept.fault(accounts[2], "status", "graph.subscriptions.create", status=500, count=1)
    asked: list[dict[str, Any]] = [{"tenantId": account.tenant_id} for account in accounts]
    asked += [{"tenantId": new_id()}, {"tenantId": "nobody"}, {"tenantId": accounts[0].tenant_id, "labelIds": ["X"]}]
    asked.append(asked[0])
    results = kept.post("/v1/subscriptions:batchCreate", requests=asked)["results"]

    outcomes = [one["subscription"]["state"] if "subscription" in one else _reason(one["error"]) for one in results]
    active = "SUBSCRIPTION_STATE_ACTIVE"
    assert outcomes == [
        active, active, "PROVIDER_UNAVAILABLE", "TENANT_NOT_FOUND", "FIELD_INVALID", "FIELD_INVALID", active,
    ]  # fmt: skip
    assert results[0]["subscription"]["subscriptionId"] == results[6]["subscription"]["subscriptionId"]


def test_another_tenants_subscription_is_not_found_by_any_rpc(kept: Kept) -> None:
    mine, foreign = kept.connect("ms365"), kept.connect("ms365")
    made = kept.subscribe(foreign)
    key = {"authorization": f"Bearer {kept.admin_key(tenantIds=[mine.tenant_id])}"}
    path = f"/v1/subscriptions/{made['subscriptionId']}"

    answers = [
        kept.api.get(path, headers=key),
        kept.api.post(f"{path}:renew", json={}, headers=key),
        kept.api.delete(path, headers=key),
    ]
    assert {(404, "SUBSCRIPTION_NOT_FOUND")} == {(one.status_code, _reason(one.json())) for one in answers}
    answer = kept.api.post("/v1/subscriptions", json={"tenantId": foreign.tenant_id}, headers=key)
    assert (404, "TENANT_NOT_FOUND") == (answer.status_code, _reason(answer.json()))
    batch = kept.api.post(
        "/v1/subscriptions:batchCreate", json={"requests": [{"tenantId": foreign.tenant_id}]}, headers=key
    )
    assert ["TENANT_NOT_FOUND"] == [_reason(one["error"]) for one in batch.json()["results"]]
    for query in ("", f"?tenantId={foreign.tenant_id}"):
        assert kept.api.get(f"/v1/subscriptions{query}", headers=key).json()["subscriptions"] == []
    assert kept.state(made["subscriptionId"]) == "ACTIVE"
    assert 1 == len(kept.at_graph(foreign))


def test_two_processes_do_what_is_due_once(kept: Kept) -> None:
    accounts = [kept.connect("ms365") for _ in range(4)]
    made = [kept.subscribe(account, folderId=folder) for account in accounts for folder in ("inbox", "archive")]
    before = {account.address: kept.calls(account, "graph.subscriptions.renew") for account in accounts}
    kept.sql(
        "UPDATE ingest.subscriptions SET renew_at = now() WHERE subscription_id = ANY($1::uuid[])",
        [one["subscriptionId"] for one in made],
    )

    until(lambda: all(_is_renewed_and_free(kept, one) for one in made))
    assert {2} == {kept.row(one["subscriptionId"])["lease_fence"] for one in made}
    assert {2} == {kept.calls(account, "graph.subscriptions.renew") - before[account.address] for account in accounts}


def test_with_one_process_the_handshake_of_many_creations_works_too(kept: Kept) -> None:
    kept.ingests[1].stop()
    try:
        kept.until_healthy(1)
        accounts = [kept.connect("ms365") for _ in range(6)]
        results = kept.post(
            "/v1/subscriptions:batchCreate",
            requests=[
                {"tenantId": one.tenant_id, "folderId": folder} for one in accounts for folder in ("inbox", "archive")
            ],
        )["results"]
        assert {"SUBSCRIPTION_STATE_ACTIVE"} == {one["subscription"]["state"] for one in results}
    finally:
        kept.ingests[1].restart()
        kept.until_healthy()


def test_a_dead_process_is_passed_over(kept: Kept) -> None:
    kept.ingests[0].kill()
    try:
        answers = [kept.api.post("/api/ms365/webhook", content=b'{"value": []}') for _ in range(40)]
        kept.until_healthy(1)
        after = [kept.api.post("/api/ms365/webhook", content=b'{"value": []}') for _ in range(40)]
    finally:
        kept.ingests[0].restart()
        kept.until_healthy()

    # A request that finds no listener goes to the other process at once, before any health is known to be bad.
    assert [] == [(answer.status_code, answer.text) for answer in (*answers, *after) if answer.status_code != 202]


def _is_renewed_and_free(kept: Kept, made: dict[str, Any]) -> bool:
    row = kept.row(made["subscriptionId"])
    return row["lease_until"] is None and row["renew_at"] > row["last_renewed_at"] and row["lease_fence"] > 1


def _is_there(kept: Kept, account: Connected) -> bool:
    return bool(kept.at_graph(account) if account.provider == "ms365" else kept.at_gmail(account))


def _lose(kept: Kept, account: Connected, made: dict[str, Any]) -> None:
    """The subscription lapses at the provider."""
    if account.provider == "ms365":
        kept.simulator.call("DELETE", f"subscriptions/{made['providerSubscriptionId']}")
    else:
        kept.simulator.call("DELETE", f"accounts/{account.address}/watch")


def _reason(body: dict[str, Any]) -> str:
    return str(body["details"][0]["reason"])
