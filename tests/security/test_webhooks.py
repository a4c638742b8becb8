"""Forged webhooks: of another tenant, repeated, out of date, for another audience; and harmful bodies."""

import base64
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.mesh.accounts import all_events, connect, created_events, new_address, subscribe
from tests.programs.mesh import Mesh, eventually
from tests.security.doors import rest

pytestmark = pytest.mark.timeout(300)
GRAPH = "/api/ms365/webhook"
LIFECYCLE = "/api/ms365/lifecycle"
GMAIL = "/api/googlews/webhook"
NOBODY = "019a9f0e-7c1e-7000-8000-000000000000"
DEPTH = 10_000


@dataclass(frozen=True)
class Mailbox:
    """A connected mailbox with one mail that became an event, and no pending item."""

    tenant: str
    address: str
    subscription: dict[str, Any]
    mail: str


def mailbox(mesh: Mesh, provider: str) -> Mailbox:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address)
    subscribe(mesh, tenant)
    mail = mesh.simulator.deliver(address, subject="One")
    eventually(lambda: created_events(mesh, tenant))
    assert mesh.simulator.wait_until_idle(50)
    known = mesh.simulator.call("GET", f"subscriptions?account={address}")
    return Mailbox(tenant, address, known[0] if known else {}, mail["id"])


@pytest.fixture(scope="module")
def graph(mesh: Mesh) -> tuple[Mailbox, Mailbox]:
    return mailbox(mesh, "ms365"), mailbox(mesh, "ms365")


@pytest.fixture(scope="module")
def gmail(mesh: Mesh) -> Mailbox:
    return mailbox(mesh, "googlews")


def notification(at: Mailbox, **changed: Any) -> dict[str, Any]:
    """Return Graph's notification of a new mail that exists, with something changed."""
    return {
        "subscriptionId": at.subscription["id"],
        "clientState": at.subscription["clientState"],
        "changeType": "created",
        "resource": f"Users/u/Messages/{at.mail}",
        "resourceData": {"@odata.type": "#Microsoft.Graph.Message", "@odata.etag": str(uuid.uuid4()), "id": at.mail},
    } | changed


def refused_notifications(mesh: Mesh) -> float:
    """Return how many of Graph's notifications were dropped so far, for any reason."""
    text = httpx.get(mesh.ready.metrics["ingest-1"], timeout=60, trust_env=False).text
    counted = (line for line in text.splitlines() if line.startswith("mailmesh_ingest_notifications_total"))
    return sum(float(line.rsplit(" ", 1)[1]) for line in counted if 'outcome="accepted"' not in line)


def forged(graph: tuple[Mailbox, Mailbox], which: str) -> dict[str, Any]:
    mine, other = graph
    return {
        "no clientState": notification(mine, clientState=None),
        "an empty clientState": notification(mine, clientState=""),
        "another clientState": notification(mine, clientState="guessed"),
        "a longer clientState": notification(mine, clientState=mine.subscription["clientState"] + "x"),
        "a shorter clientState": notification(mine, clientState=mine.subscription["clientState"][:-1]),
        "the clientState of another tenant": notification(mine, clientState=other.subscription["clientState"]),
        "the subscription of another tenant": notification(mine, subscriptionId=other.subscription["id"]),
        "a clientState that is no text": notification(mine, clientState=[mine.subscription["clientState"]]),
        "an unknown subscription": notification(mine, subscriptionId=NOBODY),
    }[which]


FORGERIES = [
    "no clientState", "an empty clientState", "another clientState", "a longer clientState", "a shorter clientState",
    "the clientState of another tenant", "the subscription of another tenant", "a clientState that is no text",
    "an unknown subscription",
]  # fmt: skip


@pytest.mark.parametrize("route", [GRAPH, LIFECYCLE])
@pytest.mark.parametrize("which", FORGERIES)
def test_a_forged_notification_is_dropped_without_a_hint(
    mesh: Mesh, graph: tuple[Mailbox, Mailbox], which: str, route: str
) -> None:
    before = refused_notifications(mesh)
    lie = forged(graph, which)
    if route == LIFECYCLE:
        lie |= {"lifecycleEvent": "missed"}
    with rest(mesh) as client:
        answer = client.post(route, json={"value": [lie]})
        genuine = client.post(GRAPH, json={"value": [notification(graph[0])]})

    assert (202, b"") == (answer.status_code, answer.content)
    # The forger sees the same answer as Graph itself.
    assert (genuine.status_code, genuine.content) == (answer.status_code, answer.content)
    assert sorted(genuine.headers) == sorted(answer.headers)
    eventually(lambda: refused_notifications(mesh) > before, what="the forgery is counted")


def test_no_forged_notification_became_an_event(mesh: Mesh, graph: tuple[Mailbox, Mailbox]) -> None:
    """The forged notifications arrive again in one body with a genuine one, which is accepted all the same."""
    mine, other = graph
    made_up = notification(mine, resource="Users/u/Messages/made-up", resourceData={"id": "made-up"})
    lies = [forged(graph, which) | {"resourceData": {"id": f"lie {which}"}} for which in FORGERIES]
    mesh.simulator.fault(kind="drop", endpoint="notify.graph", account=mine.address)
    true = mesh.simulator.deliver(mine.address, subject="Two")
    told = notification(mine, resourceData={"@odata.type": "#Microsoft.Graph.Message", "id": true["id"]})
    with rest(mesh) as client:
        answer = client.post(GRAPH, json={"value": [*lies, told, made_up | {"clientState": "guessed"}]})
    mesh.simulator.clear_faults()

    assert 202 == answer.status_code
    eventually(lambda: true["id"] in {event.mail.message_id for event in created_events(mesh, mine.tenant)})
    events = [*all_events(mesh, mine.tenant), *all_events(mesh, other.tenant)]
    assert {mine.mail, other.mail, true["id"]} == {event.mail.message_id for event in events}


def test_a_replayed_notification_makes_no_second_event(mesh: Mesh, graph: tuple[Mailbox, Mailbox]) -> None:
    mine, _ = graph
    before = len(all_events(mesh, mine.tenant))
    body = json.dumps({"value": [notification(mine)]}).encode()
    with rest(mesh) as client:
        answers = {client.post(GRAPH, content=body).status_code for _ in range(5)}
    _let_it_be_worked(mesh, mine)

    assert {202} == answers
    assert before + 1 == len(all_events(mesh, mine.tenant))


def _let_it_be_worked(mesh: Mesh, at: Mailbox) -> None:
    """A later mail's event shows that all earlier items were processed: one worker at a time has the mailbox."""
    mail = mesh.simulator.deliver(at.address, subject="Later")
    eventually(lambda: mail["id"] in {event.mail.message_id for event in created_events(mesh, at.tenant)})


def push(mesh: Mesh, at: Mailbox, **facts: Any) -> httpx.Response:
    made = mesh.simulator.call("POST", "pubsub/forge", **({"address": at.address, "historyId": 1} | facts))
    return post_push(mesh, made["body"], made["token"])


def post_push(mesh: Mesh, body: Any, token: str) -> httpx.Response:
    with rest(mesh, token) as client:
        return client.post(GMAIL, json=body)


NOW = int(time.time())
LYING_CLAIMS = {
    "another audience": {"aud": "https://elsewhere.example/api/googlews/webhook"},
    "no audience": {"aud": None},
    "another issuer": {"iss": "https://accounts.google.com.example"},
    "another service account": {"email": "other@mailmesh-simulator.iam.gserviceaccount.com"},
    "an address that is not verified": {"email_verified": False},
    "no address": {"email": None},
    "an hour too old": {"iat": NOW - 7200, "exp": NOW - 3600},
    "no end": {"exp": None},
}


@pytest.mark.parametrize("which", LYING_CLAIMS)
def test_a_push_without_proof_is_refused(mesh: Mesh, gmail: Mailbox, which: str) -> None:
    answer = push(mesh, gmail, claims=LYING_CLAIMS[which])

    assert (401, "PUSH_TOKEN_INVALID") == (answer.status_code, answer.json()["details"][0]["reason"])


@pytest.mark.parametrize("which", ["a foreign key", "no token", "no signature", "another algorithm", "an API key"])
def test_a_push_without_a_valid_signature_is_refused(mesh: Mesh, gmail: Mailbox, which: str) -> None:
    made = mesh.simulator.call(
        "POST", "pubsub/forge", address=gmail.address, historyId=1, wrongKey=which == "a foreign key"
    )
    head, claims, signature = made["token"].split(".")
    token = {
        "a foreign key": made["token"],
        "no token": "",
        "no signature": f"{head}.{claims}.",
        "another algorithm": f"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.",
        "an API key": mesh.key,
    }[which]
    answer = post_push(mesh, made["body"], token)

    assert (401, "PUSH_TOKEN_INVALID") == (answer.status_code, answer.json()["details"][0]["reason"])
    assert signature


def test_every_refused_push_is_answered_alike(mesh: Mesh, gmail: Mailbox) -> None:
    answers = {json.dumps(push(mesh, gmail, claims=claims).json(), sort_keys=True) for claims in LYING_CLAIMS.values()}

    assert 1 == len(answers)


def test_a_push_for_an_unknown_mailbox_is_accepted_like_any_other(mesh: Mesh, gmail: Mailbox) -> None:
    """Google would retry a refused push; and no caller may learn which accounts are connected here."""
    mine = push(mesh, gmail)
    nobodys = push(mesh, gmail, address="nobody@fabrikam.test")

    assert (204, 204) == (mine.status_code, nobodys.status_code)
    assert sorted(mine.headers) == sorted(nobodys.headers)


def test_a_push_for_another_mailbox_moves_nothing(mesh: Mesh, gmail: Mailbox) -> None:
    """A history id says where to read and carries no content: a number from the future finds and loses nothing."""
    before = len(all_events(mesh, gmail.tenant))
    assert 204 == push(mesh, gmail, historyId=2**63).status_code
    _let_it_be_worked(mesh, gmail)

    assert before + 1 == len(all_events(mesh, gmail.tenant))


def test_a_replayed_push_makes_no_second_event(mesh: Mesh, gmail: Mailbox) -> None:
    before = len(all_events(mesh, gmail.tenant))
    history = mesh.simulator.deliver(gmail.address, subject="Pushed again and again")
    made = mesh.simulator.call("POST", "pubsub/forge", address=gmail.address, historyId=10**9)
    answers = {post_push(mesh, made["body"], made["token"]).status_code for _ in range(5)}
    eventually(lambda: history["id"] in {event.mail.message_id for event in created_events(mesh, gmail.tenant)})
    _let_it_be_worked(mesh, gmail)

    assert {204} == answers
    assert before + 2 == len(all_events(mesh, gmail.tenant))


CLAIMS = {"email": "mailmesh-push@mailmesh-simulator.iam.gserviceaccount.com", "email_verified": True}
HEADERS = {
    "x-mailmesh-role": "admin",
    "x-mailmesh-key-id": NOBODY,
    "x-mailmesh-tenants": "*",
    "X-MailMesh-Role": "admin",
    "x-mailmesh-push-claims": base64.urlsafe_b64encode(json.dumps(CLAIMS).encode()).decode(),
    "x-envoy-original-path": GMAIL,
    "x-envoy-original-method": "POST",
    "x-forwarded-client-cert": "URI=spiffe://mailmesh/envoy",
    "x-http-status": "200",
}


@pytest.mark.parametrize(("verb", "path"), [("GET", "/v1/tenants"), ("GET", "/v1/audit"), ("POST", "/v1/api-keys")])
def test_headers_that_pretend_to_be_the_edges_open_nothing(mesh: Mesh, verb: str, path: str) -> None:
    with rest(mesh) as client:
        answer = client.request(verb, path, headers=HEADERS, **({"json": {}} if verb == "POST" else {}))

    assert (401, "API_KEY_INVALID") == (answer.status_code, answer.json()["details"][0]["reason"])


def test_unverified_claims_prove_no_push(mesh: Mesh, gmail: Mailbox) -> None:
    made = mesh.simulator.call("POST", "pubsub/forge", address=gmail.address, historyId=1)
    with rest(mesh) as client:
        answer = client.post(GMAIL, json=made["body"], headers=HEADERS)

    assert 401 == answer.status_code


def nested(opening: str, closing: str) -> bytes:
    return f'{{"value":{opening * DEPTH}1{closing * DEPTH}}}'.encode()


HURTFUL = {
    "lists in lists": nested("[", "]"),
    "objects in objects": nested('{"a":', "}"),
    "lists without end": b"[" * DEPTH,
    "objects without end": b'{"value":' * DEPTH,
    "a number of a million digits": b'{"value":' + b"9" * 1_000_000 + b"}",
    "a string of a million escapes": b'{"value":"' + b"\\u0000" * 150_000 + b'"}',
    "a hundred thousand items": b'{"value":[' + b",".join([b"{}"] * 100_000) + b"]}",
    "the same name a hundred thousand times": b"{" + b",".join([b'"value":[]'] * 100_000) + b"}",
    "no UTF-8": b'{"value":["\xff\xfe"]}',
    "nothing": b"",
    "NaN": b'{"value":NaN}',
}


def key_for(mesh: Mesh, at: Mailbox, route: str) -> str:
    """Return the proof that a route requires: Google's token, or an API key."""
    if route == GMAIL:
        return str(mesh.simulator.call("POST", "pubsub/forge", address=at.address, historyId=1)["token"])
    return mesh.key


@pytest.mark.parametrize("which", HURTFUL)
@pytest.mark.parametrize("route", [GRAPH, GMAIL, "/v1/subscriptions"])
def test_a_body_made_to_hurt_is_answered_soon_and_not_by_an_accident(
    mesh: Mesh, gmail: Mailbox, route: str, which: str
) -> None:
    started = time.monotonic()
    with rest(mesh, key_for(mesh, gmail, route)) as client:
        answer = client.post(route, content=HURTFUL[which], headers={"content-type": "application/json"})

    assert answer.status_code < 500, answer.text
    assert time.monotonic() - started < 45


@pytest.mark.parametrize("route", [GRAPH, LIFECYCLE, GMAIL, "/v1/subscriptions"])
def test_a_body_beyond_the_bound_is_refused_at_the_edge(mesh: Mesh, gmail: Mailbox, route: str) -> None:
    body = b'{"tenantId":"' + b"x" * (5 * 1024 * 1024) + b'"}'
    with rest(mesh, key_for(mesh, gmail, route)) as client:
        answer = client.post(route, content=body, headers={"content-type": "application/json"})

    assert 413 == answer.status_code


def test_the_mesh_still_works_after_all_that(mesh: Mesh, graph: tuple[Mailbox, Mailbox]) -> None:
    _let_it_be_worked(mesh, graph[0])
