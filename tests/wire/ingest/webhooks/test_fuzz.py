"""A stranger sends anything over the wire: the answer is one for strangers, and nothing unexpected follows."""

import json
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from mailmesh.ingest.v1 import ingest_service_pb2 as ingest_pb2
from services.meshkit.errors import InvalidArgument
from tests.factories.ingest import add_watched, graph_item, push_body
from tests.wire.ingest.pushing import body_of, claim_all, push_gmail, push_graph, push_lifecycle

pytestmark = pytest.mark.timeout(400)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["subscriptionId", "clientState", "changeType", "resource", "resourceData", "lifecycleEvent", "id", "tenantId"]
CHANGES = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3)
DATA = st.dictionaries(st.sampled_from(["id", "@odata.type", "@odata.etag", "clientState"]), JSON, max_size=2)
EXAMPLES = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def unforeseen() -> float:
    found = [
        sample.value
        for metric in REGISTRY.collect()
        if metric.name == "mailmesh_unexpected_errors"
        for sample in metric.samples
        if sample.name.endswith("_total")
    ]
    return sum(found)


BODIES = st.binary(max_size=2000) | JSON.map(lambda value: json.dumps(value).encode())


@EXAMPLES
@given(body=BODIES, ours=st.text(max_size=50))
async def test_any_bytes_are_answered(clients: Any, body: bytes, ours: str) -> None:
    before = unforeseen()

    if "\0" in ours:
        for push in (push_graph, push_lifecycle):
            with pytest.raises(InvalidArgument):
                await push(clients, body, ours)
    else:
        assert "202" == await push_graph(clients, body, ours)
        assert "202" == await push_lifecycle(clients, body, ours)
    assert "204" == await push_gmail(clients, body)
    assert before == unforeseen()


@EXAMPLES
@given(changes=CHANGES, data=DATA)
async def test_genuine_notifications_with_anything_in_them_are_answered(
    clients: Any, database: asyncpg.Connection, changes: dict[str, Any], data: dict[str, Any]
) -> None:
    before, watched = unforeseen(), await add_watched(database)
    item = graph_item(watched)
    item["resourceData"] = item["resourceData"] | data

    assert "202" == await push_graph(clients, json.dumps({"value": [item | changes, graph_item(watched)]}).encode())

    assert before == unforeseen()
    kept = "SELECT count(*) FROM ingest.items WHERE tenant_id = $1"
    assert await database.fetchval(kept, watched.tenant_id) >= 1
    await claim_all(clients)
    assert before == unforeseen()


@EXAMPLES
@given(address=st.text(max_size=400), history_id=st.integers() | st.text(max_size=30))
async def test_pushes_about_anything_are_answered(clients: Any, address: str, history_id: int | str) -> None:
    before = unforeseen()

    assert "204" == await push_gmail(clients, push_body(address, history_id))
    assert before == unforeseen()


@EXAMPLES
@given(token=st.text(min_size=1, max_size=5000))
async def test_any_validation_token_is_echoed_or_refused(clients: Any, token: str) -> None:
    request = ingest_pb2.ReceiveGraphNotificationsRequest(validation_token=token, payload=body_of(b""))
    try:
        answer = await clients.webhooks.ReceiveGraphNotifications(request)
    except InvalidArgument:
        return
    assert token.encode() == answer.payload.data
