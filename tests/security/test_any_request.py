"""Any request of a caller with a key, by gRPC or by REST, is answered or refused, and never fails unexpectedly.

MAILMESH_TEST_EXAMPLES says how many requests each RPC and each route gets.
"""

import os
from dataclasses import dataclass

import grpc
import httpx
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from mailmesh.access.v1 import access_pb2
from mailmesh.delivery.v1 import endpoint_service_pb2 as endpoints
from mailmesh.delivery.v1 import endpoint_service_pb2_grpc as endpoint_services
from mailmesh.vault.v1 import (
    api_key_service_pb2,
    api_key_service_pb2_grpc,
    tenant_service_pb2,
    tenant_service_pb2_grpc,
)
from services.meshkit.pages import PageTokens
from tests.contract.reading import methods
from tests.mesh.accounts import connect, new_address, subscribe
from tests.programs.mesh import Mesh
from tests.security.doors import rest
from tests.security.shapes import Document, messages, with_each_text, with_each_time
from tests.security.sides import endpoint
from tools.documents import read_yaml
from tools.generate.protos import ROOT

pytestmark = pytest.mark.timeout(400)
EXAMPLES = int(os.environ.get("MAILMESH_TEST_EXAMPLES", "8"))
ANY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
CALL_SECONDS = 60.0
STREAM_SECONDS = 0.3
ACCIDENTS = {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNAVAILABLE,
}
# The first and the last second that a timestamp of the contract can hold.
ENDS_OF_TIME = (Timestamp(seconds=-62135596800), Timestamp(seconds=253402300799, nanos=999_999_999))
OWN_IDS = ("tenant_id", "subscription_id")
DIRECTORY = "00000000-0000-4000-8000-000000000001"
STREAM_PATH = "/v1/events:stream"
DOCUMENT = read_yaml((ROOT / "gen" / "openapi" / "openapi.yaml").read_text())
ROUTES = [(verb, path) for path, verbs in DOCUMENT["paths"].items() for verb in verbs]


@dataclass(frozen=True)
class Insider:
    """A caller with an admin's key to one tenant, so that its requests affect only that tenant.

    Args:
        key: The key.
        known: Ids of its own.
    """

    key: str
    known: list[str]


@pytest.fixture(scope="module")
def insider(mesh: Mesh) -> Insider:
    tenant = connect(mesh, "googlews", new_address(mesh, "googlews"))
    made = subscribe(mesh, tenant)
    stub = api_key_service_pb2_grpc.ApiKeyServiceStub(mesh.channel)
    key = stub.CreateApiKey(
        api_key_service_pb2.CreateApiKeyRequest(display_name="insider", role=access_pb2.ROLE_ADMIN, tenant_ids=[tenant])
    )
    return Insider(key.secret, [tenant, made.subscription_id])


@pytest.fixture(scope="module")
def edge(mesh: Mesh) -> grpc.Channel:
    with grpc.insecure_channel(mesh.ready.grpc) as channel:
        yield channel


def outside() -> list[MethodDescriptor]:
    return [*methods(access_pb2.DOOR_KEY), *methods(access_pb2.DOOR_OPEN)]


def call(
    channel: grpc.Channel,
    method: MethodDescriptor,
    body: bytes,
    key: str,
    stream_seconds: float = STREAM_SECONDS,
) -> tuple[grpc.StatusCode, str]:
    """Call, and return how the call was answered; a stream that is quiet for a while counts as answered."""
    name = f"/{method.containing_service.full_name}/{method.name}"
    metadata = (("authorization", f"Bearer {key}"),)
    try:
        if method.server_streaming:
            for _ in channel.unary_stream(name)(body, metadata=metadata, timeout=stream_seconds):
                break
        else:
            channel.unary_unary(name)(body, metadata=metadata, timeout=CALL_SECONDS)
    except grpc.RpcError as error:
        is_quiet = method.server_streaming and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        return (grpc.StatusCode.OK, "") if is_quiet else (error.code(), error.details() or "")
    return grpc.StatusCode.OK, ""


@pytest.mark.parametrize("method", outside(), ids=lambda method: method.full_name.removeprefix("mailmesh."))
def test_any_message_is_answered_or_refused(edge: grpc.Channel, insider: Insider, method: MethodDescriptor) -> None:
    @ANY
    @given(messages(method.input_type, insider.known))
    def ask(message: object) -> None:
        code, details = call(edge, method, message.SerializeToString(), insider.key)
        assert code not in ACCIDENTS, (code, details, message)

    ask()


@pytest.mark.parametrize("method", outside(), ids=lambda method: method.full_name.removeprefix("mailmesh."))
def test_a_text_that_no_store_can_hold_is_no_accident_in_any_field(
    edge: grpc.Channel, insider: Insider, method: MethodDescriptor
) -> None:
    for message in with_each_text(method.input_type, "a\x00b", dict(zip(OWN_IDS, insider.known, strict=True))):
        body = message.SerializeToString()
        for sent in (body, body.replace(b"a\x00b", b"a\xffb"), body.replace(b"a\x00b", b"\xed\xa0\x80")):
            code, details = call(edge, method, sent, insider.key)
            assert code not in ACCIDENTS, (code, details, message)


@pytest.mark.parametrize("method", outside(), ids=lambda method: method.full_name.removeprefix("mailmesh."))
def test_the_first_and_the_last_time_of_the_calendar_are_no_accident_in_any_field(
    edge: grpc.Channel, insider: Insider, method: MethodDescriptor
) -> None:
    own = dict(zip(OWN_IDS, insider.known, strict=True))
    for time in ENDS_OF_TIME:
        for message in with_each_time(method.input_type, time, own):
            code, details = call(edge, method, message.SerializeToString(), insider.key)
            assert code not in ACCIDENTS, (code, details, message)


def test_an_update_that_names_no_field_changes_nothing(mesh: Mesh, insider: Insider) -> None:
    tenant = insider.known[0]
    request = endpoints.UpdateEndpointRequest(endpoint_id=endpoint(mesh, tenant))
    stub = endpoint_services.EndpointServiceStub(mesh.channel)
    before = stub.GetEndpoint(endpoints.GetEndpointRequest(endpoint_id=request.endpoint_id))

    assert before.endpoint == stub.UpdateEndpoint(request).endpoint
    tenants = tenant_service_pb2_grpc.TenantServiceStub(mesh.channel)
    assert tenant == tenants.UpdateTenant(tenant_service_pb2.UpdateTenantRequest(tenant_id=tenant)).tenant.tenant_id


def test_bytes_that_are_no_message_are_refused(edge: grpc.Channel, insider: Insider) -> None:
    junk = b"\xff\xff\xff\xff\x07\x08"
    answers = {method.name: call(edge, method, junk, insider.key, CALL_SECONDS)[0] for method in outside()}

    # The edge refuses a push without Google's token before anything reads its message.
    assert grpc.StatusCode.UNAUTHENTICATED == answers.pop("ReceiveGmailPush")
    assert {grpc.StatusCode.INVALID_ARGUMENT} == set(answers.values())


FORGED = st.lists(
    st.integers(-(2**63), 2**64) | st.sampled_from(["", "x", "0", "\x00", "2026-01-01", "9999-12-31T23:59:59+14:00"]),
    max_size=3,
)
LISTS = [method for method in methods(access_pb2.DOOR_KEY) if "page_token" in method.input_type.fields_by_name]
# The refusals for the other fields of a request, which are read before its token or after it.
REFUSALS = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION}


@pytest.mark.parametrize("method", LISTS, ids=lambda method: method.name)
def test_a_page_token_that_was_made_up_is_refused(
    mesh: Mesh, edge: grpc.Channel, insider: Insider, method: MethodDescriptor
) -> None:
    """The digest of the cursor contains no secret, so anyone can compute a valid one."""
    known = {**dict(zip(OWN_IDS, insider.known, strict=True)), "directory_id": DIRECTORY}
    singular = {name: field for name, field in method.input_type.fields_by_name.items() if not field.is_repeated}

    @settings(ANY, max_examples=EXAMPLES * 3)
    @given(FORGED)
    @example(["\0"])
    def ask(position: list[int | str]) -> None:
        asked = GetMessageClass(method.input_type)(**{name: known[name] for name in known.keys() & singular.keys()})
        asked.page_token = PageTokens().write(asked, position) if "page_size" in singular else f"made up {position}"
        # The admin key, because a limited one has no directories.
        code, details = call(edge, method, asked.SerializeToString(), mesh.key)
        assert code in {grpc.StatusCode.OK, *REFUSALS}, (position, code, details)

    ask()


@pytest.mark.parametrize(("verb", "path"), ROUTES)
def test_any_rest_request_is_answered_or_refused(mesh: Mesh, insider: Insider, verb: str, path: str) -> None:
    document = Document(DOCUMENT, insider.known)
    with rest(mesh, insider.key) as client:

        @ANY
        @given(document.requests(DOCUMENT["paths"][path][verb]))
        def ask(request: dict[str, object]) -> None:
            answer = send(client, verb, path, request)
            assert answer.status_code < 500, (answer.status_code, answer.text, answer.url)
            if answer.status_code >= 400 and path.startswith("/v1/"):
                assert {"code", "message", "details"} <= set(answer.json())

        ask()


def send(client: httpx.Client, verb: str, path: str, request: dict[str, object]) -> httpx.Response:
    """Send a request; of a stream, read only the head."""
    for name, value in request["path"].items():
        path = path.replace(f"{{{name}}}", quoted(value))
    query = [
        (name, one)
        for name, value in request["query"].items()
        for one in ([value] if not isinstance(value, list) else value)
    ]
    body = {} if request["body"] is None else {"json": request["body"]}
    if path == STREAM_PATH:
        with client.stream(verb, path, params=query) as answer:
            if answer.is_error:
                answer.read()
            return answer
    return client.request(verb, path, params=query, **body)


def quoted(value: object) -> str:
    return "".join(f"%{byte:02X}" for byte in str(value).encode())
