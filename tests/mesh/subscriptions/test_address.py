"""The public address changes, as when a tunnel is opened again: subscriptions to the old one are recreated."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from mailmesh.ingest.v1 import inbox_item_pb2 as inbox
from tests.programs.kept import Kept, until

pytestmark = pytest.mark.timeout(300)


@contextmanager
def moved(kept: Kept, address: str) -> Iterator[None]:
    """Runs Ingest with another public address, for the length of a block."""
    programs = [ingest.program for ingest in kept.ingests]
    try:
        for ingest in kept.ingests:
            environment = {**ingest.program.environment, "MAILMESH_PUBLIC_URL": address}
            ingest.program = replace(ingest.program, environment=environment)
        restarted(kept)
        yield
    finally:
        for ingest, program in zip(kept.ingests, programs, strict=True):
            ingest.program = program
        restarted(kept)


def restarted(kept: Kept) -> None:
    for ingest in kept.ingests:
        ingest.stop()
        ingest.restart()
    kept.until_healthy()


def test_what_pushes_to_an_older_address_is_made_anew_and_compared(kept: Kept) -> None:
    account = kept.connect("ms365")
    made = kept.subscribe(account)
    (before,) = kept.at_graph(account)
    kept.empty_inbox(account)
    address = str(kept.api.base_url).rstrip("/").replace("127.0.0.1", "localhost")

    with moved(kept, address):
        (after,) = until(lambda: [one for one in kept.at_graph(account) if one["id"] != before["id"]], 60)
        until(lambda: kept.state(made["subscriptionId"]) == "ACTIVE")
        assert after["notificationUrl"] == f"{address}/api/ms365/webhook?s={made['subscriptionId']}"
        assert after["lifecycleNotificationUrl"] == f"{address}/api/ms365/lifecycle?s={made['subscriptionId']}"
        assert [after] == kept.at_graph(account)
        assert kept.subscription(made["subscriptionId"])["providerSubscriptionId"] == after["id"]
        until(lambda: kept.reconciles(account) == {inbox.RECONCILE_REASON_MISSED})
