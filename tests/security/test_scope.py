"""A key of one tenant sees nothing of another: over every RPC, stream and route, with real mail in both mailboxes."""

import json
from collections.abc import Iterator

import grpc
import httpx
import pytest

from mailmesh.access.v1 import access_pb2
from mailmesh.ingest.v1 import dead_letter_service_pb2 as letters
from mailmesh.ingest.v1 import dead_letter_service_pb2_grpc as letter_services
from mailmesh.ingest.v1 import subscription_service_pb2 as subscriptions
from mailmesh.ingest.v1 import subscription_service_pb2_grpc as subscription_services
from mailmesh.processor.v1 import event_service_pb2 as events
from mailmesh.processor.v1 import event_service_pb2_grpc as event_services
from mailmesh.processor.v1 import processor_service_pb2 as pipeline
from mailmesh.processor.v1 import processor_service_pb2_grpc as pipeline_services
from mailmesh.processor.v1 import send_service_pb2 as sends
from mailmesh.processor.v1 import send_service_pb2_grpc as send_services
from mailmesh.vault.v1 import api_key_service_pb2 as keys
from mailmesh.vault.v1 import api_key_service_pb2_grpc as key_services
from mailmesh.vault.v1 import audit_service_pb2 as audit
from mailmesh.vault.v1 import audit_service_pb2_grpc as audit_services
from mailmesh.vault.v1 import session_service_pb2 as sessions
from mailmesh.vault.v1 import session_service_pb2_grpc as session_services
from mailmesh.vault.v1 import tenant_service_pb2 as tenants
from mailmesh.vault.v1 import tenant_service_pb2_grpc as tenant_services
from mailmesh.workflow.v1 import workflow_service_pb2 as workflows
from mailmesh.workflow.v1 import workflow_service_pb2_grpc as workflow_services
from tests.contract.reading import methods
from tests.programs.mesh import Mesh
from tests.security.doors import rest
from tests.security.requests_by_id import WITH_FILTERS, on_calendars, single
from tests.security.sides import Side, followed, side, to_send

pytestmark = pytest.mark.timeout(300)
CALL_SECONDS = 60.0
STREAM_SECONDS = 2.5
HEARTBEATS = 120


@pytest.fixture(scope="module")
def sides(mesh: Mesh) -> Iterator[tuple[Side, Side]]:
    """Two tenants that know nothing of each other: mine, and the other one."""
    with grpc.insecure_channel(mesh.ready.grpc) as channel:
        yield side(mesh, channel, "ms365"), side(mesh, channel, "googlews")


def lists(mine: Side, asked: str) -> dict[str, object]:
    """Return the content of every list for my key: all of it, or the part of one tenant."""
    chosen = events.EventFilter(tenant_ids=[asked] if asked else [], include_replays=True)
    one = {"tenant_id": asked} if asked else {}
    pages = {
        "events": lambda: event_services.EventServiceStub(mine.channel).ListEvents(
            events.ListEventsRequest(cursor="earliest", page_size=1000, filter=chosen), timeout=CALL_SECONDS
        ),
        "subscriptions": lambda: subscription_services.SubscriptionServiceStub(mine.channel).ListSubscriptions(
            subscriptions.ListSubscriptionsRequest(page_size=1000, **one), timeout=CALL_SECONDS
        ),
        "subscription health": lambda: subscription_services.SubscriptionServiceStub(
            mine.channel
        ).GetSubscriptionHealth(subscriptions.GetSubscriptionHealthRequest(**one), timeout=CALL_SECONDS),
        "dead letters": lambda: letter_services.DeadLetterServiceStub(mine.channel).ListDeadLetters(
            letters.ListDeadLettersRequest(filter=letters.DeadLetterFilter(**one)), timeout=CALL_SECONDS
        ),
        "counts of dead letters": lambda: letter_services.DeadLetterServiceStub(mine.channel).CountDeadLetters(
            letters.CountDeadLettersRequest(filter=letters.DeadLetterFilter(**one)), timeout=CALL_SECONDS
        ),
        "audit": lambda: audit_services.AuditServiceStub(mine.channel).ListAuditEntries(
            audit.ListAuditEntriesRequest(page_size=1000, **one), timeout=CALL_SECONDS
        ),
        "tenants": lambda: tenant_services.TenantServiceStub(mine.channel).ListTenants(
            tenants.ListTenantsRequest(page_size=1000), timeout=CALL_SECONDS
        ),
        "keys": lambda: key_services.ApiKeyServiceStub(mine.channel).ListApiKeys(
            keys.ListApiKeysRequest(page_size=1000, include_revoked=True), timeout=CALL_SECONDS
        ),
        "sessions": lambda: session_services.SessionServiceStub(mine.channel).ListSessions(
            sessions.ListSessionsRequest(page_size=1000), timeout=CALL_SECONDS
        ),
        "sends": lambda: send_services.SendServiceStub(mine.channel).ListSends(
            sends.ListSendsRequest(page_size=1000, **one), timeout=CALL_SECONDS
        ),
        "runs": lambda: workflow_services.WorkflowServiceStub(mine.channel).ListWorkflowRuns(
            workflows.ListWorkflowRunsRequest(page_size=1000, **one), timeout=CALL_SECONDS
        ),
        "pipeline": lambda: pipeline_services.ProcessorServiceStub(mine.channel).GetPipelineStatus(
            pipeline.GetPipelineStatusRequest(max_tenants=1000), timeout=CALL_SECONDS
        ),
    }
    return {name: answered(page) for name, page in pages.items()}


def answered(ask: object) -> object:
    """Return the answer, or the code of the refusal."""
    try:
        return ask()
    except grpc.RpcError as error:
        return f"{error.code().name} {error.details()}"


def test_lists_contain_only_my_resources(sides: tuple[Side, Side]) -> None:
    mine, _ = sides
    found = lists(mine, "")

    assert mine.event in str(found["events"])
    assert mine.subscription in str(found["subscriptions"])
    assert {"ms365"} == {counts.provider for counts in found["subscription health"].counts}
    assert [mine.tenant] == [tenant.tenant_id for tenant in found["tenants"].tenants]
    assert [mine.session] == [one.session_id for one in found["sessions"].sessions]
    assert [mine.send] == [one.send_id for one in found["sends"].sends]
    assert mine.tenant in str(found["audit"])
    assert {mine.tenant} == {lag.tenant_id for lag in found["pipeline"].tenants}


@pytest.mark.parametrize("asks", ["for everything", "for the other's"])
def test_no_list_holds_anything_of_another_tenant(sides: tuple[Side, Side], asks: str) -> None:
    mine, other = sides
    found = lists(mine, other.tenant if asks == "for the other's" else "")
    if asks == "for the other's":
        # The answer may repeat the requested id, as it does for an id that does not exist.
        found = {name: str(page).replace(other.tenant, "") for name, page in found.items()}

    assert {} == {name: seen for name, page in found.items() if (seen := other.seen_in(page))}


def test_every_rpc_that_takes_an_id_is_tried_with_anothers(sides: tuple[Side, Side]) -> None:
    taking = {
        f"{method.containing_service.full_name.removeprefix('mailmesh.')}/{method.name}"
        for method in methods(access_pb2.DOOR_KEY)
        if any(field.name.endswith(("_id", "_ids")) for field in method.input_type.fields)
    }

    assert taking - WITH_FILTERS == {*single(sides[1]), *on_calendars("", "", "")}


def test_the_same_idempotency_key_is_another_send_for_each_tenant(mesh: Mesh, sides: tuple[Side, Side]) -> None:
    mine, other = sides
    sent = [
        send_services.SendServiceStub(channel).Send(to_send(tenant, "shared"), timeout=CALL_SECONDS)
        for channel, tenant in ((mesh.channel, other.tenant), (mine.channel, mine.tenant))
    ]

    assert [False, False] == [answer.was_known for answer in sent]
    assert [other.tenant, mine.tenant] == [answer.send.tenant_id for answer in sent]


def test_a_page_token_of_anothers_sends_leads_to_mine_alone(mesh: Mesh, sides: tuple[Side, Side]) -> None:
    mine, other = sides
    everyone = send_services.SendServiceStub(mesh.channel).ListSends(sends.ListSendsRequest(page_size=1))
    request = sends.ListSendsRequest(page_size=1, page_token=everyone.next_page_token)
    answer = send_services.SendServiceStub(mine.channel).ListSends(request, timeout=CALL_SECONDS)

    assert everyone.next_page_token
    assert {mine.tenant} >= {send.tenant_id for send in answer.sends}
    assert [] == other.seen_in(answer)


def test_an_id_of_another_tenant_does_not_exist(mesh: Mesh, sides: tuple[Side, Side]) -> None:
    mine, other = sides
    asked = {**single(other), **on_calendars(*followed(mesh))}
    found = {}
    for name, request in asked.items():
        call = mine.channel.unary_unary(
            f"/mailmesh.{name}", request_serializer=lambda message: message.SerializeToString()
        )
        with pytest.raises(grpc.RpcError) as refused:
            call(request, timeout=CALL_SECONDS)
        found[name] = refused.value.code()

    assert dict.fromkeys(asked, grpc.StatusCode.NOT_FOUND) == found


def test_an_id_of_another_tenant_is_answered_like_an_unknown_one(sides: tuple[Side, Side]) -> None:
    mine, other = sides
    nobody = "019a9f0e-7c1e-7000-8000-000000000000"
    told = {}
    for tenant in (other.tenant, nobody):
        with pytest.raises(grpc.RpcError) as refused:
            tenant_services.TenantServiceStub(mine.channel).GetTenant(tenants.GetTenantRequest(tenant_id=tenant))
        details = b"".join(
            value for key, value in refused.value.trailing_metadata() if key == "grpc-status-details-bin"
        )
        told[tenant] = (refused.value.details(), details.replace(tenant.encode(), b""))

    assert told[other.tenant] == told[nobody]


def test_a_batch_makes_nothing_for_another_tenant(sides: tuple[Side, Side]) -> None:
    mine, other = sides
    wanted = subscriptions.CreateSubscriptionRequest(tenant_id=other.tenant)
    answer = subscription_services.SubscriptionServiceStub(mine.channel).BatchCreateSubscriptions(
        subscriptions.BatchCreateSubscriptionsRequest(requests=[wanted]), timeout=CALL_SECONDS
    )

    assert [grpc.StatusCode.NOT_FOUND.value[0]] == [result.error.code for result in answer.results]


def test_a_replay_and_a_retry_touch_nothing_of_another_tenant(sides: tuple[Side, Side]) -> None:
    mine, other = sides
    chosen = events.EventFilter(tenant_ids=[other.tenant])
    replay = pipeline_services.ProcessorServiceStub(mine.channel).ReplayEvents(
        pipeline.ReplayEventsRequest(from_cursor="earliest", filter=chosen, dry_run=True), timeout=CALL_SECONDS
    )
    retry = answered(
        lambda: letter_services.DeadLetterServiceStub(mine.channel).RetryDeadLetters(
            letters.RetryDeadLettersRequest(filter=letters.DeadLetterFilter(tenant_id=other.tenant), dry_run=True),
            timeout=CALL_SECONDS,
        )
    )

    assert 0 == replay.matched
    assert str(retry).startswith("NOT_FOUND") or 0 == retry.matched


def test_a_key_makes_no_key_to_another_tenant_and_none_without_limits(sides: tuple[Side, Side]) -> None:
    mine, other = sides
    stub = key_services.ApiKeyServiceStub(mine.channel)
    for wider in ([other.tenant], [mine.tenant, other.tenant], []):
        request = keys.CreateApiKeyRequest(display_name="wider", role=access_pb2.ROLE_READER, tenant_ids=wider)
        made = answered(lambda request=request: stub.CreateApiKey(request, timeout=CALL_SECONDS))
        if not isinstance(made, str):
            assert [mine.tenant] == list(made.api_key.tenant_ids)


@pytest.mark.parametrize("asks", ["for everything", "for the other's"])
def test_no_stream_carries_anything_of_another_tenant(mesh: Mesh, sides: tuple[Side, Side], asks: str) -> None:
    mine, other = sides
    chosen = events.EventFilter(tenant_ids=[other.tenant] if asks == "for the other's" else [], include_replays=True)
    request = events.StreamEventsRequest(cursor="earliest", filter=chosen, heartbeat_seconds=1)
    mesh.simulator.deliver(other.address, subject="While it runs")
    told = []
    with pytest.raises(grpc.RpcError) as ended:
        told += event_services.EventServiceStub(mine.channel).StreamEvents(request, timeout=STREAM_SECONDS)
        pytest.fail("a stream goes on")

    assert grpc.StatusCode.DEADLINE_EXCEEDED == ended.value.code()
    assert [] == other.seen_in(told)


@pytest.mark.parametrize("path", [
    "/v1/events?cursor=earliest&pageSize=1000", "/v1/tenants?pageSize=1000", "/auth/tenants",
    "/v1/subscriptions?pageSize=1000", "/v1/dead-letters",
    "/v1/audit?pageSize=1000", "/v1/api-keys", "/v1/pipeline?maxTenants=1000",
    "/v1/sends?pageSize=1000",
])  # fmt: skip
def test_no_route_tells_anything_of_another_tenant(mesh: Mesh, sides: tuple[Side, Side], path: str) -> None:
    mine, other = sides
    with rest(mesh, mine.key) as client:
        answer = client.get(path)

    assert 200 == answer.status_code
    assert [] == other.seen_in(answer.text)


@pytest.mark.parametrize(("verb", "path"), [
    ("GET", "/v1/tenants/{tenant}"), ("PATCH", "/v1/tenants/{tenant}"), ("POST", "/v1/tenants/{tenant}:disable"),
    ("POST", "/v1/tenants/{tenant}:enable"), ("POST", "/v1/tenants/{tenant}:disconnect"),
    ("DELETE", "/auth/tenants/{tenant}"), ("POST", "/v1/tenants/{tenant}:test"),
    ("POST", "/v1/tenants/{tenant}:reconcile"), ("GET", "/v1/events/{event}"),
    ("GET", "/v1/subscriptions/{subscription}"), ("DELETE", "/v1/subscriptions/{subscription}"),
    ("POST", "/v1/subscriptions/{subscription}:renew"), ("POST", "/v1/api-keys/{key_id}:revoke"),
    ("GET", "/v1/authorizations/{flow}"), ("GET", "/v1/sends/{send}"), ("POST", "/v1/sends/{send}:cancel"),
    ("GET", "/v1/tenants/{tenant}/messages/{message}"),
    ("GET", "/v1/tenants/{tenant}/messages/{message}:raw"), ("GET", "/v1/tenants/{tenant}/folders"),
    ("GET", "/v1/tenants/{tenant}/messages/{message}/attachments/1"), ("GET", "/v1/tenants/{tenant}/labels"),
])  # fmt: skip
def test_no_route_touches_anything_of_another_tenant(
    mesh: Mesh, sides: tuple[Side, Side], verb: str, path: str
) -> None:
    mine, other = sides
    with rest(mesh, mine.key) as client:
        body = {} if verb in ("GET", "DELETE") else {"json": {}}
        answer = client.request(verb, path.format(**vars(other)), **body)

    assert 404 == answer.status_code


def test_server_sent_events_carry_nothing_of_another_tenant(mesh: Mesh, sides: tuple[Side, Side]) -> None:
    mine, other = sides
    told = []
    query = {"cursor": "earliest", "heartbeatSeconds": "1", "filter.includeReplays": "true"}
    with rest(mesh, mine.key) as client, client.stream("GET", "/v1/events:stream", params=query) as answer:
        for line in answer.iter_lines():
            told.append(line)
            # Comments keep the stream alive: the first one after my event shows that no further event is waiting.
            if line.startswith(":") and (mine.event in "".join(told) or len(told) > HEARTBEATS):
                break

    assert mine.event in "".join(told)
    assert [] == other.seen_in(told)


def test_a_cursor_of_another_reader_widens_nothing(mesh: Mesh, sides: tuple[Side, Side]) -> None:
    """Cursors grant nothing: with my key, a cursor from a key without limits leads only to my events."""
    mine, other = sides
    with rest(mesh, mesh.key) as everyone, rest(mesh, mine.key) as client:
        cursor = json.loads(everyone.get("/v1/events?cursor=earliest&pageSize=1").content)["nextCursor"]
        answer: httpx.Response = client.get("/v1/events", params={"cursor": cursor, "pageSize": 1000})

    assert 200 == answer.status_code
    assert [] == other.seen_in(answer.text)
