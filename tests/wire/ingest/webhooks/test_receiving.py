"""Pushed notifications are kept once, or dropped without a hint to the sender."""

import asyncio
import gzip
import hashlib
import zlib
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY

from mailmesh.ingest.v1 import ingest_service_pb2 as ingest_pb2
from services.meshkit.errors import InvalidArgument, Unauthenticated
from services.meshkit.ids import new_id
from tests.factories.ingest import (
    Watched,
    add_watched,
    graph_body,
    graph_item,
    lifecycle_item,
    push_body,
    push_claims,
)
from tests.wire.ingest.pushing import claim_all, push_gmail, push_graph, push_lifecycle, push_packed


def counted(provider: str, outcome: str) -> float:
    labels = {"provider": provider, "outcome": outcome}
    return REGISTRY.get_sample_value("mailmesh_ingest_notifications_total", labels) or 0


async def items_of(database: asyncpg.Connection) -> int:
    return int(await database.fetchval("SELECT count(*) FROM ingest.items"))


async def test_a_post_that_mixes_tenants_is_sorted_to_each(clients: Any, database: asyncpg.Connection) -> None:
    watched = [await add_watched(database) for _ in range(3)]
    body = graph_body(*(graph_item(one, f"AAMk{index}") for index, one in enumerate(watched)))

    assert "202" == await push_graph(clients, body)

    found = {(item.tenant_id, item.mail.message_id) for item in await claim_all(clients)}
    assert {(one.tenant_id, f"AAMk{index}") for index, one in enumerate(watched)} == found


async def test_forged_and_unknown_items_are_dropped_and_cost_their_neighbours_nothing(
    clients: Any, database: asyncpg.Connection
) -> None:
    watched = await add_watched(database)
    before = counted("ms365", "unknown_or_forged")
    body = graph_body(
        graph_item(watched, "AAMkFirst"),
        graph_item(watched, clientState="wrong"),
        graph_item(watched, clientState=""),
        graph_item(watched, clientState=None),
        graph_item(watched, subscriptionId=new_id()),
        {"nonsense": True},
        None,
        graph_item(watched, "AAMkLast"),
    )

    assert "202" == await push_graph(clients, body)

    assert ["AAMkFirst", "AAMkLast"] == [item.mail.message_id for item in await claim_all(clients)]
    assert before + 4 == counted("ms365", "unknown_or_forged")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"value": 5}', b"\xff\xfe", b'{"value":' + b"[" * 5000])
async def test_what_is_no_notification_is_acknowledged_without_a_hint(clients: Any, body: bytes) -> None:
    assert "202" == await push_graph(clients, body)
    assert "202" == await push_lifecycle(clients, body)
    assert "204" == await push_gmail(clients, body)


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "a\udfff"])
async def test_an_item_with_text_that_no_store_can_hold_costs_its_neighbours_nothing(
    clients: Any, database: asyncpg.Connection, text: str
) -> None:
    watched = await add_watched(database)
    data = {"id": "AAMkOdd", "@odata.type": "#Microsoft.Graph.Message"}
    odd = [
        graph_item(watched, subscriptionId=text),
        graph_item(watched, clientState=text),
        graph_item(watched, changeType=text),
        graph_item(watched, text),
        graph_item(watched, resource=f"users/a/messages/{text}", resourceData={"@odata.type": data["@odata.type"]}),
        lifecycle_item(watched, subscriptionId=text),
        lifecycle_item(watched, text),
    ]
    body = graph_body(graph_item(watched, "AAMkFirst"), *odd, graph_item(watched, "AAMkLast"))

    for push in (push_graph, push_lifecycle):
        assert "202" == await push(clients, body)
    assert "204" == await push_gmail(clients, push_body(f"a{text}@example.com"))
    assert "204" == await push_gmail(clients, push_body(watched.address, message_id=text))

    mails = [item.mail.message_id for item in await claim_all(clients) if item.HasField("mail")]
    assert ["AAMkFirst", "AAMkLast"] == mails


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", "deflate", "identity"])
async def test_a_packed_post_is_kept(clients: Any, database: asyncpg.Connection, encoding: str) -> None:
    watched = await add_watched(database)
    packers = {"deflate": zlib.compress, "identity": bytes}
    pack = packers.get(encoding, gzip.compress)

    await push_packed(clients, pack(graph_body(graph_item(watched, "AAMk1"))), encoding)

    assert ["AAMk1"] == [item.mail.message_id for item in await claim_all(clients)]


UNPACKABLE = {
    "plain": (b'{"value": []}', "gzip"),
    "empty": (b"", "gzip"),
    "cut off": (gzip.compress(b'{"value": []}')[:-9], "gzip"),
    "with more behind": (gzip.compress(b'{"value": []}') + b"x", "gzip"),
    "bomb": (gzip.compress(bytes(10_000_000)), "gzip"),
    "another encoding": (b"{}", "br"),
    "packed twice": (gzip.compress(gzip.compress(b"{}")), "gzip, gzip"),
}


@pytest.mark.parametrize("fault", UNPACKABLE)
async def test_a_post_that_cannot_be_unpacked_is_refused(clients: Any, fault: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await push_packed(clients, *UNPACKABLE[fault])

    assert {"payload"} == set(refused.value.violations)


async def test_a_notification_that_overtakes_its_subscription_is_kept(
    clients: Any, database: asyncpg.Connection
) -> None:
    pending = await add_watched(database, state="pending")

    await push_graph(clients, graph_body(graph_item(pending, "AAMk1")), pending.subscription_id.upper())
    await push_graph(clients, graph_body(graph_item(pending, clientState="wrong")), pending.subscription_id)

    assert ["AAMk1"] == [item.mail.message_id for item in await claim_all(clients)]


async def test_our_id_in_the_address_proves_nothing(clients: Any, database: asyncpg.Connection) -> None:
    one, other = await add_watched(database), await add_watched(database)

    await push_graph(clients, graph_body(graph_item(one, subscriptionId=new_id())), other.subscription_id)

    assert [] == await claim_all(clients)


async def test_a_subscription_that_is_replaced_speaks_under_both_secrets(
    clients: Any, database: asyncpg.Connection
) -> None:
    old = await add_watched(database)
    await push_graph(clients, graph_body(graph_item(old, "AAMkBefore")))
    await database.execute(
        "UPDATE ingest.subscriptions SET previous_client_state_digest = client_state_digest, client_state_digest = $1,"
        " provider_subscription_id = 'new-id'",
        hashlib.sha256(b"new-state").digest(),
    )
    new = Watched(old.tenant_id, old.subscription_id, "new-id", "new-state", old.address)

    await push_graph(clients, graph_body(graph_item(old, "AAMkOld"), graph_item(new, "AAMkNew")), old.subscription_id)

    assert {"AAMkBefore", "AAMkOld", "AAMkNew"} == {item.mail.message_id for item in await claim_all(clients)}


async def test_the_same_notification_twice_is_one_item(clients: Any, database: asyncpg.Connection) -> None:
    watched = await add_watched(database)
    body = graph_body(graph_item(watched, "AAMk1"))

    statuses = await asyncio.gather(*(push_graph(clients, body) for _ in range(20)))

    assert {"202"} == set(statuses)
    assert 1 == await items_of(database)


async def test_a_second_change_of_the_same_message_is_no_repeat(clients: Any, database: asyncpg.Connection) -> None:
    watched = await add_watched(database)
    data = {"@odata.type": "#Microsoft.Graph.Message", "id": "AAMk1"}
    for item in (
        graph_item(watched, "AAMk1"),
        graph_item(watched, "AAMk1", changeType="updated"),
        graph_item(watched, "AAMk1", changeType="updated", resourceData=data | {"@odata.etag": 'W/"2"'}),
        graph_item(watched, "AAMk1", changeType="deleted", resourceData=data, id="first"),
        graph_item(watched, "AAMk1", changeType="deleted", resourceData=data, id="second"),
        graph_item(watched, "aamk1"),
    ):
        await push_graph(clients, graph_body(item, item))

    assert 6 == await items_of(database)


async def test_the_same_message_of_two_tenants_is_no_repeat(clients: Any, database: asyncpg.Connection) -> None:
    one, other = await add_watched(database), await add_watched(database)

    await push_graph(clients, graph_body(graph_item(one, "AAMk1"), graph_item(other, "AAMk1")))

    assert 2 == await items_of(database)


async def test_lifecycle_notifications_are_kept_at_either_address(clients: Any, database: asyncpg.Connection) -> None:
    watched = await add_watched(database)
    for event in ("missed", "subscriptionRemoved"):
        assert "202" == await push_lifecycle(clients, graph_body(lifecycle_item(watched, event)))
    mixed = graph_body(lifecycle_item(watched, "reauthorizationRequired"), graph_item(watched))
    assert "202" == await push_graph(clients, mixed)

    rows = await database.fetch("SELECT event FROM ingest.lifecycle_notifications ORDER BY event")
    assert ["missed", "reauthorizationRequired", "subscriptionRemoved"] == [row["event"] for row in rows]
    assert 1 == await database.fetchval("SELECT count(*) FROM ingest.items WHERE kind = 7")


async def test_a_forged_lifecycle_notification_is_dropped(clients: Any, database: asyncpg.Connection) -> None:
    watched = await add_watched(database)

    assert "202" == await push_lifecycle(clients, graph_body(lifecycle_item(watched, clientState="wrong")))

    assert 0 == await database.fetchval("SELECT count(*) FROM ingest.lifecycle_notifications")


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        ("active", 2),
        ("token_expired", 2),
        ("needs_reauthorization", 2),
        ("error", 2),
        ("disabled", 0),
        ("disconnecting", 0),
        ("disconnected", 0),
    ],
)
async def test_the_tenants_state_decides_what_is_kept(
    clients: Any, database: asyncpg.Connection, status: str, kept: int
) -> None:
    graph = await add_watched(database, status=status)
    gmail = await add_watched(database, provider="googlews", status=status)

    assert "202" == await push_graph(clients, graph_body(graph_item(graph)))
    assert "204" == await push_gmail(clients, push_body(gmail.address))

    assert kept == await items_of(database)


@pytest.mark.parametrize("state", ["deleting", "deleted"])
async def test_a_subscription_that_has_ended_is_not_heard(
    clients: Any, database: asyncpg.Connection, state: str
) -> None:
    graph = await add_watched(database, state=state)
    gmail = await add_watched(database, provider="googlews", state=state)

    assert "202" == await push_graph(clients, graph_body(graph_item(graph)))
    assert "204" == await push_gmail(clients, push_body(gmail.address))

    assert 0 == await items_of(database)


async def test_pushes_about_the_same_history_are_one_item(clients: Any, database: asyncpg.Connection) -> None:
    watched = await add_watched(database, provider="googlews")
    for history_id, message_id in ((5, "a"), ("5", "b"), (6, "c"), (7, "c"), (8, "d")):
        await push_gmail(clients, push_body(watched.address, history_id, message_id))

    assert [5, 6, 8] == [item.mailbox_changed.history_id for item in await claim_all(clients)]


async def test_an_unwrapped_push_is_known_by_its_header(clients: Any, database: asyncpg.Connection) -> None:
    watched = await add_watched(database, provider="googlews")
    header = ("x-goog-pubsub-message-id", "204")
    for history_id in (5, 6):
        body = b'{"emailAddress": "%s", "historyId": %d}' % (watched.address.encode(), history_id)
        assert "204" == await push_gmail(clients, body, push_claims(), header)

    assert ["204"] == [item.mailbox_changed.pubsub_message_id for item in await claim_all(clients)]


@pytest.mark.parametrize(
    "claims",
    [
        "",
        "bm9uc2Vuc2U",
        push_claims("other@project.iam.gserviceaccount.com"),
        push_claims(email_verified=False),
    ],
)
async def test_a_push_without_proof_is_refused_so_that_google_keeps_it(
    clients: Any, database: asyncpg.Connection, claims: str
) -> None:
    watched = await add_watched(database, provider="googlews")

    with pytest.raises(Unauthenticated) as caught:
        await push_gmail(clients, push_body(watched.address), claims)

    assert "PUSH_TOKEN_INVALID" == caught.value.reason
    assert 0 == await items_of(database)


async def test_proof_given_twice_is_no_proof(clients: Any, database: asyncpg.Connection) -> None:
    watched = await add_watched(database, provider="googlews")

    with pytest.raises(Unauthenticated):
        await push_gmail(clients, push_body(watched.address), None, ("x-mailmesh-push-claims", push_claims()))


@pytest.mark.parametrize("method", ["ReceiveGraphNotifications", "ReceiveGraphLifecycle"])
async def test_markup_is_not_echoed(clients: Any, method: str) -> None:
    request = getattr(ingest_pb2, f"{method}Request")(validation_token="<script>alert(1)</script>")

    with pytest.raises(InvalidArgument):
        await getattr(clients.webhooks, method)(request)


async def test_no_client_state_is_stored_anywhere(clients: Any, database: asyncpg.Connection) -> None:
    watched = await add_watched(database)
    item = graph_item(watched, encryptedContent={"data": "canary-encrypted"})
    await push_graph(clients, graph_body(item, lifecycle_item(watched)))

    tables = await database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'ingest'")
    for table in tables:
        rows = await database.fetch(f"SELECT row.*::text AS text FROM ingest.{table['tablename']} AS row")  # noqa: S608
        for row in rows:
            shown = row["text"]
            assert watched.client_state not in shown
            assert watched.client_state.encode().hex() not in shown
            assert b"canary-encrypted".hex() not in shown


@pytest.mark.parametrize("item", [{"subscriptionId": "x"}, None, 1])
async def test_a_post_of_more_items_than_an_honest_one_has_is_refused(clients: Any, item: Any) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        await push_graph(clients, graph_body(*[item] * 5001))

    assert {"payload"} == set(refusal.value.violations)
    assert "202" == await push_graph(clients, graph_body(*[item] * 5000))
