"""Graph subscriptions through the real edge: made, lost, in the way, refused, throttled, renewed, ended."""

import hashlib
import threading
from datetime import timedelta

import pytest

from mailmesh.ingest.v1 import inbox_item_pb2 as inbox
from tests.programs.kept import Connected, Kept, until

pytestmark = pytest.mark.timeout(300)
INBOX = "mailFolders('inbox')/messages"


@pytest.fixture
def account(kept: Kept) -> Connected:
    """A connected account at Microsoft."""
    return kept.connect("ms365")


def test_a_subscription_is_made_with_the_handshake_through_the_edge(kept: Kept, account: Connected) -> None:
    made = kept.subscribe(account)

    (there,) = kept.at_graph(account)
    url = str(kept.api.base_url.join("/api/ms365"))
    assert there["id"] == made["providerSubscriptionId"]
    assert there["resource"].endswith(INBOX)
    assert there["notificationUrl"] == f"{url}/webhook?s={made['subscriptionId']}"
    assert there["lifecycleNotificationUrl"] == f"{url}/lifecycle?s={made['subscriptionId']}"
    assert (there["changeType"], there["isImmutable"]) == ("created,deleted,updated", True)
    assert ("SUBSCRIPTION_STATE_ACTIVE", "inbox") == (made["state"], made["folderId"])
    assert made["expiresAt"][:19] == there["expirationDateTime"][:19]
    assert kept.reconciles(account) == {inbox.RECONCILE_REASON_CREATED}
    (watched,) = kept.watched(account)
    assert (watched.subscription_id, watched.history_id) == (made["subscriptionId"], 0)


def test_only_a_digest_of_the_secret_is_kept(kept: Kept, account: Connected) -> None:
    made = kept.subscribe(account)
    (there,) = kept.at_graph(account)
    secret = there["clientState"]

    assert 60 <= len(secret) <= 128
    assert hashlib.sha256(secret.encode()).digest() == kept.row(made["subscriptionId"])["client_state_digest"]
    (rows,) = kept.sql("SELECT string_agg(subscriptions::text, '') AS text FROM ingest.subscriptions")
    assert secret not in rows["text"]
    assert all(secret not in log.read_text() for log in kept.logs.glob("*.log"))


def test_the_renewal_is_due_at_about_half_of_the_life(kept: Kept, account: Connected) -> None:
    row = kept.row(kept.subscribe(account)["subscriptionId"])

    life = row["expires_at"] - row["last_renewed_at"]
    assert timedelta(days=6.9) < life < timedelta(days=7)
    assert 0.44 < (row["renew_at"] - row["last_renewed_at"]) / life < 0.56


@pytest.mark.parametrize(
    ("asked", "resource", "change_type"),
    [
        ({"allMail": True}, "/messages", "created,deleted,updated"),
        ({"folderId": "archive", "changeTypes": ["created"]}, "mailFolders('archive')/messages", "created"),
    ],
)
def test_any_folder_all_mail_and_kinds_of_change_can_be_asked_for(
    kept: Kept, account: Connected, asked: dict[str, object], resource: str, change_type: str
) -> None:
    kept.subscribe(account, **asked)

    (there,) = kept.at_graph(account)
    assert there["resource"].endswith(resource)
    assert there["changeType"] == change_type


def test_asking_again_gives_the_same_also_for_ten_at_once(kept: Kept, account: Connected) -> None:
    answers: list[str] = []

    def ask() -> None:
        answers.append(kept.subscribe(account)["subscriptionId"])

    askers = [threading.Thread(target=ask) for _ in range(10)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(60)

    assert len(answers) == 10
    assert len({*answers, kept.subscribe(account)["subscriptionId"]}) == 1
    assert len(kept.at_graph(account)) == 1
    assert kept.calls(account, "graph.subscriptions.create") == 1


def test_a_lost_answer_leaves_no_second_subscription(kept: Kept, account: Connected) -> None:
    kept.fault(account, "close", "graph.subscriptions.create", phase="after", count=1)
    answer = kept.api.post("/v1/subscriptions", json={"tenantId": account.tenant_id})
    (orphan,) = kept.at_graph(account)

    assert (answer.status_code, _reason(answer.json())) == (503, "PROVIDER_UNAVAILABLE")
    made = kept.subscribe(account)
    (there,) = kept.at_graph(account)
    assert there["id"] == made["providerSubscriptionId"] != orphan["id"]
    assert orphan["notificationUrl"] == there["notificationUrl"]


def test_what_failed_in_passing_is_tried_on_by_itself(kept: Kept, account: Connected) -> None:
    kept.fault(account, "status", "graph.subscriptions.create", status=503, count=1)
    kept.api.post("/v1/subscriptions", json={"tenantId": account.tenant_id})
    (failing,) = kept.get(f"/v1/subscriptions?tenantId={account.tenant_id}")["subscriptions"]

    assert (failing["state"], failing["failures"]) == ("SUBSCRIPTION_STATE_FAILING", 1)
    assert failing["failureReason"] == "PROVIDER_UNAVAILABLE"
    kept.make_due(failing["subscriptionId"])
    until(lambda: kept.state(failing["subscriptionId"]) == "ACTIVE")
    assert kept.subscription(failing["subscriptionId"])["failureReason"] == ""


def test_killed_between_the_providers_yes_and_the_commit_leaves_one_subscription(
    kept: Kept, account: Connected
) -> None:
    kept.fault(account, "hang", "graph.subscriptions.create", phase="after", seconds=60, count=1)
    asker = threading.Thread(target=lambda: kept.api.post("/v1/subscriptions", json={"tenantId": account.tenant_id}))
    asker.start()
    (orphan,) = until(lambda: kept.at_graph(account))
    for ingest in kept.ingests:
        ingest.kill()
    asker.join(60)
    (row,) = kept.sql("SELECT * FROM ingest.subscriptions WHERE tenant_id = $1", account.tenant_id)
    assert (row["state"], row["provider_subscription_id"]) == (1, None)
    for ingest in kept.ingests:
        ingest.restart()
    kept.until_healthy()
    # As when the lease of the one that died has run out.
    kept.make_due(str(row["subscription_id"]))

    until(lambda: kept.state(str(row["subscription_id"])) == "ACTIVE")
    (there,) = kept.at_graph(account)
    assert there["id"] != orphan["id"]
    assert there["id"] == kept.subscription(str(row["subscription_id"]))["providerSubscriptionId"]


def test_what_is_due_is_renewed_and_lives_on(kept: Kept, account: Connected) -> None:
    made = kept.subscribe(account)
    kept.empty_inbox(account)
    kept.make_due(made["subscriptionId"])

    until(lambda: kept.calls(account, "graph.subscriptions.renew") == 1)
    renewed = until(lambda: _renewed_since(kept, made))
    assert renewed["providerSubscriptionId"] == made["providerSubscriptionId"]
    assert kept.calls(account, "graph.subscriptions.reauthorize") == 0
    assert kept.reconciles(account) == set()


def test_one_that_the_provider_lost_is_made_anew_and_compared(kept: Kept, account: Connected) -> None:
    made = kept.subscribe(account)
    kept.empty_inbox(account)
    kept.simulator.call("DELETE", f"subscriptions/{made['providerSubscriptionId']}")
    renewed = kept.post(f"/v1/subscriptions/{made['subscriptionId']}:renew")["subscription"]

    (there,) = kept.at_graph(account)
    assert there["id"] == renewed["providerSubscriptionId"] != made["providerSubscriptionId"]
    assert renewed["state"] == "SUBSCRIPTION_STATE_ACTIVE"
    assert kept.reconciles(account) == {inbox.RECONCILE_REASON_MISSED}


def test_one_that_expired_is_made_anew_and_compared(kept: Kept, account: Connected) -> None:
    made = kept.subscribe(account)
    kept.empty_inbox(account)
    kept.simulator.call("DELETE", f"subscriptions/{made['providerSubscriptionId']}")
    kept.sql(
        "UPDATE ingest.subscriptions SET expires_at = now() - interval '1 hour', renew_at = now(), state = 3"
        " WHERE subscription_id = $1",
        made["subscriptionId"],
    )

    until(lambda: kept.state(made["subscriptionId"]) == "ACTIVE")
    assert len(kept.at_graph(account)) == 1
    assert kept.reconciles(account) == {inbox.RECONCILE_REASON_MISSED}


def test_a_missing_permission_is_named_and_told_about_the_tenant(kept: Kept, account: Connected) -> None:
    kept.fault(account, "status", "graph.subscriptions.create", status=403, code="ErrorAccessDenied")
    answer = kept.api.post("/v1/subscriptions", json={"tenantId": account.tenant_id})

    assert (answer.status_code, _reason(answer.json())) == (400, "SUBSCRIPTION_REFUSED")
    assert "Mail.Read" in answer.json()["message"]
    tenant = kept.tenant(account)
    assert tenant["status"] == "TENANT_STATUS_ERROR"
    assert "Mail.Read" in tenant["statusDetail"]
    # A caller that was refused need not delete it, and it is not retried without the caller.
    assert kept.get(f"/v1/subscriptions?tenantId={account.tenant_id}")["subscriptions"] == []


def test_a_refused_folder_does_not_take_the_tenant_down(kept: Kept, account: Connected) -> None:
    kept.subscribe(account)
    kept.fault(account, "status", "graph.subscriptions.create", status=403, code="ErrorAccessDenied", count=1)
    answer = kept.api.post("/v1/subscriptions", json={"tenantId": account.tenant_id, "folderId": "archive"})

    assert _reason(answer.json()) == "SUBSCRIPTION_REFUSED"
    assert kept.tenant(account)["status"] == "TENANT_STATUS_ACTIVE"


def test_an_unknown_folder_is_refused_and_forgotten(kept: Kept, account: Connected) -> None:
    answer = kept.api.post("/v1/subscriptions", json={"tenantId": account.tenant_id, "folderId": "no-such-folder"})

    assert (answer.status_code, _reason(answer.json())) == (400, "SUBSCRIPTION_REFUSED")
    assert "no such folder" in answer.json()["message"]
    assert kept.tenant(account)["status"] == "TENANT_STATUS_ACTIVE"
    assert kept.get(f"/v1/subscriptions?tenantId={account.tenant_id}")["subscriptions"] == []


def test_a_provider_that_asks_for_patience_gets_it(kept: Kept, account: Connected) -> None:
    kept.fault(account, "status", "graph.subscriptions.create", status=429, retry_after=300, count=1)
    first = kept.api.post("/v1/subscriptions", json={"tenantId": account.tenant_id})
    (row,) = kept.sql("SELECT * FROM ingest.subscriptions WHERE tenant_id = $1", account.tenant_id)
    again = kept.api.post("/v1/subscriptions", json={"tenantId": account.tenant_id})

    for answer in (first, again):
        assert (answer.status_code, _reason(answer.json())) == (429, "PROVIDER_THROTTLED")
    assert row["renew_at"] - row["updated_at"] > timedelta(seconds=280)
    assert kept.calls(account, "graph.subscriptions.create") == 1


def test_a_token_that_is_refused_is_replaced_once(kept: Kept, account: Connected) -> None:
    made = kept.subscribe(account)
    kept.expire_token(account)
    renewed = kept.post(f"/v1/subscriptions/{made['subscriptionId']}:renew")["subscription"]

    assert renewed["providerSubscriptionId"] == made["providerSubscriptionId"]
    assert renewed["lastRenewedAt"] > made["lastRenewedAt"]


def test_a_hanging_account_holds_up_nobody_else(kept: Kept, account: Connected) -> None:
    hanging = kept.subscribe(account)
    others = [kept.subscribe(kept.connect("ms365")) for _ in range(3)]
    fault = kept.fault(account, "hang", "graph.subscriptions.renew", seconds=120)
    for one in (hanging, *others):
        kept.make_due(one["subscriptionId"])

    for other in others:
        until(lambda other=other: _renewed_since(kept, other))
    # It is still at it: no test has waited until it was given up.
    assert kept.row(hanging["subscriptionId"])["lease_until"] is not None
    assert kept.row(hanging["subscriptionId"])["failures"] == 0
    kept.simulator.call("DELETE", f"faults/{fault}")


def test_deleting_tells_the_provider_and_survives_that_it_is_gone(kept: Kept, account: Connected) -> None:
    for is_gone_already in (False, True):
        made = kept.subscribe(account)
        if is_gone_already:
            kept.simulator.call("DELETE", f"subscriptions/{made['providerSubscriptionId']}")
        deleted = [kept.api.delete(f"/v1/subscriptions/{made['subscriptionId']}").json() for _ in range(2)]

        assert {"SUBSCRIPTION_STATE_DELETED"} == {one["subscription"]["state"] for one in deleted}
        assert kept.at_graph(account) == []


def test_a_deletion_that_the_provider_cannot_take_is_tried_on(kept: Kept, account: Connected) -> None:
    made = kept.subscribe(account)
    kept.fault(account, "status", "graph.subscriptions.delete", status=503, count=1)
    answer = kept.api.delete(f"/v1/subscriptions/{made['subscriptionId']}").json()["subscription"]

    assert (answer["state"], answer["failureReason"]) == ("SUBSCRIPTION_STATE_DELETING", "PROVIDER_UNAVAILABLE")
    assert kept.api.post(f"/v1/subscriptions/{made['subscriptionId']}:renew", json={}).status_code == 404
    # A caller that wants it again gets a new one, behind the end of the old one.
    again = kept.subscribe(account)
    assert again["subscriptionId"] != made["subscriptionId"]
    assert kept.state(made["subscriptionId"]) == "DELETED"
    assert [again["providerSubscriptionId"]] == [one["id"] for one in kept.at_graph(account)]


def _renewed_since(kept: Kept, made: dict[str, object]) -> dict[str, object] | None:
    now = kept.subscription(str(made["subscriptionId"]))
    return now if now["lastRenewedAt"] > made["lastRenewedAt"] else None


def _reason(body: dict[str, object]) -> str:
    return str(body["details"][0]["reason"])  # type: ignore[index]
