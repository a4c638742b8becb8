"""Gmail's one watch for a mailbox, as the union of what is subscribed to."""

from datetime import timedelta

import pytest

from mailmesh.ingest.v1 import inbox_item_pb2 as inbox
from tests.programs.kept import Connected, Kept, until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def account(kept: Kept) -> Connected:
    """A connected account at Google."""
    return kept.connect("googlews")


def test_the_first_cursor_comes_with_the_watch(kept: Kept, account: Connected) -> None:
    made = kept.subscribe(account)

    watch = kept.at_gmail(account)
    assert watch is not None
    assert (watch["labelIds"], made["labelIds"]) == (["INBOX"], ["INBOX"])
    (watched,) = kept.watched(account)
    assert watched.subscription_id == made["subscriptionId"]
    assert watched.history_id == int(kept.row(made["subscriptionId"])["history_id"]) > 0
    assert kept.reconciles(account) == {inbox.RECONCILE_REASON_CREATED}


def test_a_watch_is_renewed_daily(kept: Kept, account: Connected) -> None:
    row = kept.row(kept.subscribe(account)["subscriptionId"])

    assert row["expires_at"] - row["last_renewed_at"] > timedelta(days=6)
    assert timedelta(hours=21) < row["renew_at"] - row["last_renewed_at"] < timedelta(hours=27)


def test_the_watch_is_the_union_and_stops_with_the_last(kept: Kept, account: Connected) -> None:
    inbox_only = kept.subscribe(account)
    starred = kept.subscribe(account, labelIds=["STARRED", "IMPORTANT"])
    assert _labels(kept, account) == ["IMPORTANT", "INBOX", "STARRED"]
    everything = kept.subscribe(account, allMail=True)
    assert _labels(kept, account) == []

    for gone, left in ((everything, ["IMPORTANT", "INBOX", "STARRED"]), (starred, ["INBOX"])):
        kept.api.delete(f"/v1/subscriptions/{gone['subscriptionId']}")
        assert _labels(kept, account) == left
    assert kept.calls(account, "gmail.stop") == 0
    kept.api.delete(f"/v1/subscriptions/{inbox_only['subscriptionId']}")
    assert kept.at_gmail(account) is None
    assert kept.calls(account, "gmail.stop") == 1


def test_one_renewal_serves_all_of_a_mailboxs_subscriptions(kept: Kept, account: Connected) -> None:
    rows = [kept.subscribe(account, labelIds=[label])["subscriptionId"] for label in ("INBOX", "STARRED", "IMPORTANT")]
    before = kept.calls(account, "gmail.watch")
    kept.make_due(rows[0])

    until(lambda: kept.calls(account, "gmail.watch") > before)
    until(lambda: len({kept.row(row)["expires_at"] for row in rows}) == 1)
    assert kept.calls(account, "gmail.watch") == before + 1


def test_a_renewed_watch_moves_no_cursor(kept: Kept, account: Connected) -> None:
    made = kept.subscribe(account)
    kept.empty_inbox(account)
    kept.simulator.generate(account.address, 1)
    kept.post(f"/v1/subscriptions/{made['subscriptionId']}:renew")

    assert kept.watched(account) == []


def test_an_unknown_label_is_refused_and_harms_no_other(kept: Kept, account: Connected) -> None:
    made = kept.subscribe(account)
    answer = kept.api.post("/v1/subscriptions", json={"tenantId": account.tenant_id, "labelIds": ["Label_none"]})

    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (400, "SUBSCRIPTION_REFUSED")
    assert kept.tenant(account)["status"] == "TENANT_STATUS_ACTIVE"
    assert kept.post(f"/v1/subscriptions/{made['subscriptionId']}:renew")["subscription"]["failures"] == 0
    assert _labels(kept, account) == ["INBOX"]


def test_pushes_of_the_watch_are_kept_and_remembered(kept: Kept, account: Connected) -> None:
    made = kept.subscribe(account)
    kept.simulator.generate(account.address, 1)

    until(lambda: kept.sql("SELECT FROM ingest.items WHERE tenant_id = $1 AND kind = 8", account.tenant_id))
    until(lambda: "lastNotificationAt" in kept.subscription(made["subscriptionId"]))


def test_the_old_path_of_the_watch_is_answered(kept: Kept, account: Connected) -> None:
    made = kept.post("/api/googlews/gmail/watch", tenantId=account.tenant_id)["subscription"]

    assert made["subscriptionId"] == kept.subscribe(account)["subscriptionId"]


@pytest.mark.parametrize(
    "asked",
    [
        {"folderId": "inbox"},
        {"labelIds": ["INBOX"], "allMail": True},
        {"labelIds": ["a,b"]},
        {"labelIds": [""]},
        {"changeTypes": ["vanished"]},
        {"deliveryMode": 9},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_by_field(kept: Kept, account: Connected, asked: dict[str, object]) -> None:
    answer = kept.api.post("/v1/subscriptions", json={"tenantId": account.tenant_id, **asked})

    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (400, "FIELD_INVALID")
    assert kept.calls(account, "gmail.watch") == 0


def _labels(kept: Kept, account: Connected) -> list[str]:
    watch = kept.at_gmail(account)
    assert watch is not None
    return sorted(watch["labelIds"])
