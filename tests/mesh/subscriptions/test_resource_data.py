"""Notifications with resource data through the real edge: proven, opened, refused; certificates replaced meanwhile."""

import base64
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mailmesh.ingest.v1 import inbox_item_pb2 as inbox
from stack.certificates import MeshCertificates
from tests.programs.kept import Connected, Kept, running_kept, until
from tests.programs.postgres import PostgresProgram

pytestmark = pytest.mark.timeout(300)
SETTINGS = {
    "MAILMESH_INGEST_RESOURCE_DATA": "true",
    "MAILMESH_INGEST_KEYS": f"one:{base64.b64encode(os.urandom(32)).decode()}",
}
ASKED = {"includesResourceData": True}


@pytest.fixture(scope="module")
def rich(
    postgres: PostgresProgram, certificates: MeshCertificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kept]:
    """The programs, with an Ingest that accepts resource data."""
    with running_kept(postgres, certificates, tmp_path_factory.mktemp("rich"), **SETTINGS) as started:
        yield started


@pytest.fixture
def account(rich: Kept) -> Connected:
    """A connected account at Microsoft."""
    return rich.connect("ms365")


def deliver(kept: Kept, account: Connected) -> str:
    return str(kept.simulator.deliver(account.address, subject="Numbers")["id"])


def mails(kept: Kept, account: Connected) -> list[Any]:
    return kept.sql("SELECT * FROM ingest.items WHERE tenant_id = $1 AND kind = 7", account.tenant_id)


def refused(kept: Kept, outcome: str) -> int:
    """Return how many notifications had an outcome, in all processes."""
    return sum(_metric(ingest.program.environment["MAILMESH_METRICS_LISTEN"], outcome) for ingest in kept.ingests)


def _metric(address: str, outcome: str) -> int:
    text = httpx.get(f"http://{address}/metrics", trust_env=False, timeout=30).text
    name = f'mailmesh_ingest_notifications_total{{outcome="{outcome}",provider="ms365"}}'
    found = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(name)]
    return int(float(found[0])) if found else 0


def certificate_of(kept: Kept, made: dict[str, Any]) -> str:
    return str(kept.row(made["subscriptionId"])["certificate_id"])


def end_certificate(kept: Kept) -> None:
    """Let the newest certificate be due, as after half of its life."""
    kept.sql(
        "UPDATE ingest.notification_certificates SET expires_at = now() + interval '40 days'"
        " WHERE superseded_at IS NULL"
    )


def test_a_subscription_that_asks_for_it_is_made_for_a_day_with_our_certificate(rich: Kept, account: Connected) -> None:
    made = rich.subscribe(account, **ASKED)

    row = rich.row(made["subscriptionId"])
    assert made["includesResourceData"] is True
    assert "SUBSCRIPTION_STATE_ACTIVE" == made["state"]
    assert rich.at_graph(account)[0]["resource"].endswith("/messages?$select=id")
    assert timedelta(hours=23) < row["expires_at"] - row["last_renewed_at"] < timedelta(hours=24)
    (certificate,) = rich.sql(
        "SELECT * FROM ingest.notification_certificates WHERE certificate_id = $1", row["certificate_id"]
    )
    assert certificate["superseded_at"] is None
    assert b"PRIVATE" not in certificate["sealed_key"]


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_proven_notification_is_kept_and_its_data_is_not(rich: Kept, account: Connected, version: str) -> None:
    rich.simulator.call("PATCH", "settings", graph_proof_version=version)
    rich.subscribe(account, **ASKED)
    rich.empty_inbox(account)

    deliver(rich, account)

    (item,) = until(lambda: mails(rich, account))
    for word in (b"encryptedContent", b"dataKey", b"validationTokens", b"clientState"):
        assert word not in item["content"]


REFUSED = {
    "wrong_signature": "data_refused",
    "other_key": "data_refused",
    "unknown_certificate": "data_refused",
    "forged_token": "token_refused",
    "other_publisher": "token_refused",
    "other_audience": "token_refused",
    "other_organisation": "token_refused",
    "expired_token": "token_refused",
    "no_token": "token_refused",
}


@pytest.mark.parametrize("fault", REFUSED)
def test_each_fault_is_refused_and_answered_as_a_good_one(rich: Kept, account: Connected, fault: str) -> None:
    rich.subscribe(account, **ASKED)
    rich.empty_inbox(account)
    before = refused(rich, REFUSED[fault])
    rich.fault(account, fault, "notify.graph.data", count=1)

    deliver(rich, account)

    until(lambda: refused(rich, REFUSED[fault]) > before)
    (push,) = until(lambda: pushed(rich, account))
    assert 202 == push["status"]
    assert [] == mails(rich, account)
    # A proven notification that could not be read is not lost; a stranger's has no effect.
    expected = {inbox.RECONCILE_REASON_MISSED} if REFUSED[fault] == "data_refused" else set()
    assert expected == rich.reconciles(account)
    deliver(rich, account)
    assert until(lambda: mails(rich, account))


def pushed(kept: Kept, account: Connected) -> list[dict[str, Any]]:
    """Return the POSTs to an account's subscription."""
    (there,) = kept.at_graph(account)
    return [one for one in kept.simulator.call("GET", "pushes")["log"] if one["url"] == there["notificationUrl"]]


def test_a_notification_without_data_and_proof_is_refused_whatever_secret_it_has(
    rich: Kept, account: Connected
) -> None:
    made = rich.subscribe(account, **ASKED)
    (there,) = rich.at_graph(account)
    rich.empty_inbox(account)
    before = refused(rich, "token_refused")

    answer = rich.api.post(
        f"/api/ms365/webhook?s={made['subscriptionId']}",
        json={
            "value": [
                {
                    "subscriptionId": there["id"],
                    "clientState": there["clientState"],
                    "changeType": "created",
                    "tenantId": "11d2a6b5-0000-4000-8000-000000000000",
                    "resource": "users/u/messages/m",
                    "resourceData": {"@odata.type": "#microsoft.graph.message", "id": "m"},
                }
            ]
        },
    )

    assert (202, b"") == (answer.status_code, answer.content)
    assert before + 1 == refused(rich, "token_refused")
    assert [] == mails(rich, account)


def test_a_rotation_leaves_the_old_key_to_the_notifications_that_name_it(rich: Kept, account: Connected) -> None:
    other = rich.connect("ms365")
    first, second = rich.subscribe(account, **ASKED), rich.subscribe(other, **ASKED)
    old = certificate_of(rich, first)
    rich.fault(account, "late", "notify.graph", seconds=3, count=1)
    deliver(rich, account)  # encrypted for the old certificate, and on its way for three seconds
    for one in (account, other):
        rich.empty_inbox(one)

    end_certificate(rich)
    rich.post(f"/v1/subscriptions/{first['subscriptionId']}:renew")

    new = certificate_of(rich, first)
    assert (old, True) == (certificate_of(rich, second), new != old)
    assert first["providerSubscriptionId"] == rich.subscription(first["subscriptionId"])["providerSubscriptionId"]
    until(lambda: mails(rich, account))  # the late one, by the old key
    deliver(rich, account)
    until(lambda: len(mails(rich, account)) == 2)  # by the new key
    deliver(rich, other)
    until(lambda: mails(rich, other))  # its subscription still has the old certificate


def test_google_polling_and_another_subscription_of_the_folder_are_refused(rich: Kept, account: Connected) -> None:
    google = rich.connect("googlews")
    plain = rich.subscribe(account)

    for one, more, reason in (
        (google, {}, "FIELD_INVALID"),
        (account, {"deliveryMode": "DELIVERY_MODE_POLL"}, "FIELD_INVALID"),
        (account, {}, "SUBSCRIPTION_DIFFERS"),
    ):
        answer = rich.api.post("/v1/subscriptions", json={"tenantId": one.tenant_id, **ASKED, **more})
        assert answer.is_client_error
        assert reason in answer.text, answer.text
    assert "ACTIVE" == rich.state(plain["subscriptionId"])


def test_an_installation_that_accepts_none_says_so(kept: Kept) -> None:
    account = kept.connect("ms365")

    answer = kept.api.post("/v1/subscriptions", json={"tenantId": account.tenant_id, **ASKED})

    assert "RESOURCE_DATA_NOT_ACCEPTED" in answer.text
    assert [] == kept.at_graph(account)


def test_switched_off_the_subscription_goes_on_without_data(rich: Kept, account: Connected) -> None:
    made = rich.subscribe(account, **ASKED)
    programs = [ingest.program for ingest in rich.ingests]
    try:
        for ingest in rich.ingests:
            off = {**ingest.program.environment, "MAILMESH_INGEST_RESOURCE_DATA": "false"}
            ingest.program = replace(ingest.program, environment=off)
        restarted(rich)
        deliver(rich, account)  # with data still, and proven by its clientState
        until(lambda: mails(rich, account))
        rich.post(f"/v1/subscriptions/{made['subscriptionId']}:renew")
        assert rich.row(made["subscriptionId"])["certificate_id"] is None
        assert "?" not in rich.at_graph(account)[0]["resource"]
    finally:
        for ingest, program in zip(rich.ingests, programs, strict=True):
            ingest.program = program
        restarted(rich)
    rich.post(f"/v1/subscriptions/{made['subscriptionId']}:renew")
    assert rich.row(made["subscriptionId"])["certificate_id"] is not None


def restarted(kept: Kept) -> None:
    for ingest in kept.ingests:
        ingest.stop()
        ingest.restart()
    kept.until_healthy()


def test_without_microsofts_keys_graph_is_asked_to_repeat(rich: Kept, account: Connected) -> None:
    made = rich.subscribe(account, **ASKED)
    restarted(rich)  # the keys of the last hour are forgotten
    rich.empty_inbox(account)
    rich.simulator.fault(kind="status", endpoint="ms.keys", status=503, count=2)

    deliver(rich, account)

    until(lambda: mails(rich, account), 60)
    assert 503 in {push["status"] for push in pushed(rich, account)}
    assert "ACTIVE" == rich.state(made["subscriptionId"])


def test_no_private_key_stands_in_a_log_or_in_the_open(rich: Kept, account: Connected) -> None:
    rich.subscribe(account, **ASKED)
    rows = rich.sql("SELECT sealed_key, certificate FROM ingest.notification_certificates")

    assert rows
    for row in rows:
        # DER of PKCS #8 begins with the sequence, its length and the version.
        assert bytes.fromhex("020100300d06092a864886f70d010101") not in row["sealed_key"]
        text = hashlib.sha256(row["sealed_key"]).hexdigest()
        assert all(text not in log.read_text() for log in Path(rich.logs).glob("*.log"))
