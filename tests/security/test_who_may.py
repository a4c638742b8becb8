"""Every RPC of the contract, called over every door by every role, by no one, and by every mesh identity.

The contract's options are the table of who may; this asks the running mesh whether it agrees.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import grpc
import httpx
import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import code_pb2, error_details_pb2, status_pb2

from gateway.contract import descriptor_path
from mailmesh.access.v1 import access_pb2
from mailmesh.processor.v1.event_service_pb2 import StreamEventsRequest
from mailmesh.vault.v1 import api_key_service_pb2, api_key_service_pb2_grpc
from tests.programs.mesh import Mesh

pytestmark = [pytest.mark.timeout(300)]
ROLES = {"reader": access_pb2.ROLE_READER, "operator": access_pb2.ROLE_OPERATOR, "admin": access_pb2.ROLE_ADMIN}
KEYS = {**ROLES, "sender": access_pb2.ROLE_OPERATOR, "marker": access_pb2.ROLE_ADMIN}
ABILITIES = {"sender": ["mail.send"], "marker": ["mail.mark"]}
"""The abilities that a key is limited to by request. The others have the default of their role."""
HAS = {"reader": {"mail.read"}, "operator": {"mail.read"}, "sender": {"mail.send"}, "marker": {"mail.mark"}}
IDENTITIES = ("token-vault", "ingest", "processor", "delivery", "primitives", "workflows", "envoy", "operator")
ROWS = "/mailmesh.vault.v1.TenantRowsService/"
"""The service of TokenVault's contract that the services with rows of tenants serve to it."""
ROWS_HOMES = ("ingest", "processor", "delivery", "workflow")
HOMES = {
    "vault": ("token-vault", "token-vault"),
    "ingest": ("ingest-1", "ingest"),
    "processor": ("processor", "processor"),
    "delivery": ("delivery", "delivery"),
    "primitives": ("primitives", "primitives"),
    "workflow": ("workflows", "workflows"),
}
CALL_SECONDS = 60.0
# Both streams read this as `heartbeat_seconds: 1`, so that an accepted call shows it soon.
SOON = StreamEventsRequest(heartbeat_seconds=1).SerializeToString()


@dataclass(frozen=True)
class Rpc:
    """One method of the contract and its permitted callers."""

    name: str
    package: str
    door: int
    minimum_role: int
    ability: str
    callers: frozenset[str]
    is_stream: bool
    http: tuple[tuple[str, str], ...]


@cache
def rpcs() -> tuple[Rpc, ...]:
    return tuple(_rpcs())


def _rpcs() -> Iterator[Rpc]:
    for file in FileDescriptorSet.FromString(descriptor_path().read_bytes()).file:
        if not file.package.startswith("mailmesh."):
            continue
        for service in file.service:
            for method in service.method:
                rule = method.options.Extensions[annotations_pb2.http]
                yield Rpc(
                    name=f"/{file.package}.{service.name}/{method.name}",
                    package=file.package.split(".")[1],
                    door=service.options.Extensions[access_pb2.door],
                    minimum_role=method.options.Extensions[access_pb2.minimum_role],
                    ability=method.options.Extensions[access_pb2.ability],
                    callers=frozenset(method.options.Extensions[access_pb2.callers]),
                    is_stream=method.server_streaming,
                    http=tuple(_binding(one) for one in (rule, *rule.additional_bindings) if one.WhichOneof("pattern")),
                )


def _binding(rule: object) -> tuple[str, str]:
    verb = rule.WhichOneof("pattern")
    path = getattr(rule, verb)
    for name in ("tenant_id", "subscription_id", "event_id", "api_key_id", "flow_id"):
        path = path.replace(f"{{{name}}}", "019a9f0e-7c1e-7000-8000-000000000000")
    return verb.upper(), path.replace("{provider}", "ms365")


def at_the_door(door: int) -> list[Rpc]:
    return [rpc for rpc in rpcs() if rpc.door == door]


@pytest.fixture(scope="module")
def keys(mesh: Mesh) -> dict[str, str]:
    """Return a key of each role, and one for each of two single abilities."""
    stub = api_key_service_pb2_grpc.ApiKeyServiceStub(mesh.channel)
    requests = {
        name: api_key_service_pb2.CreateApiKeyRequest(display_name=name, role=role, abilities=ABILITIES.get(name, ()))
        for name, role in KEYS.items()
    }
    return {name: stub.CreateApiKey(request).secret for name, request in requests.items()}


@pytest.fixture
def edge(mesh: Mesh) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(mesh.ready.grpc) as channel:
        yield channel


def call(channel: grpc.Channel, rpc: Rpc, headers: dict[str, str]) -> tuple[grpc.StatusCode, str]:
    """Call with an empty request. Return the code and the reason; a stream that starts counts as OK."""
    metadata = tuple(headers.items())
    try:
        if rpc.is_stream:
            stream = channel.unary_stream(rpc.name)(SOON, metadata=metadata, timeout=CALL_SECONDS)
            next(iter(stream))
        else:
            channel.unary_unary(rpc.name)(b"", metadata=metadata, timeout=CALL_SECONDS)
    except StopIteration:
        return grpc.StatusCode.OK, ""
    except grpc.RpcError as error:
        return error.code(), reason_of(error)
    return grpc.StatusCode.OK, ""


def reason_of(error: grpc.RpcError) -> str:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return info.reason
    return ""


@pytest.mark.parametrize("role", [*KEYS, "nobody", "forger"])
def test_every_rpc_behind_a_key_asks_for_its_role_and_its_ability(
    edge: grpc.Channel, keys: dict[str, str], role: str
) -> None:
    forged = {
        "x-mailmesh-role": "admin",
        "x-mailmesh-key-id": "019a9f0e-7c1e-7000-8000-000000000000",
        "x-mailmesh-tenants": "*",
        "x-mailmesh-abilities": "*",
    }
    headers = (
        {"nobody": {}, "forger": forged}.get(role) if role not in KEYS else {"authorization": f"Bearer {keys[role]}"}
    )
    wrong = {}
    for rpc in at_the_door(access_pb2.DOOR_KEY):
        code, reason = call(edge, rpc, headers)
        if role not in KEYS:
            is_right = (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "API_KEY_INVALID")
        elif KEYS[role] < rpc.minimum_role:
            is_right = (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_TOO_LOW")
        elif rpc.ability and rpc.ability not in HAS.get(role, {rpc.ability}):
            is_right = (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "KEY_LACKS_ABILITY")
        else:
            is_right = code not in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
        if not is_right:
            wrong[rpc.name] = (code, reason)

    assert wrong == {}


@pytest.mark.parametrize("role", ["reader", "nobody"])
def test_every_rest_route_asks_for_the_same(mesh: Mesh, keys: dict[str, str], role: str) -> None:
    headers = {"authorization": f"Bearer {keys[role]}"} if role in ROLES else {}
    wrong = {}
    with httpx.Client(base_url=mesh.ready.http, headers=headers, timeout=CALL_SECONDS, trust_env=False) as client:
        for rpc in at_the_door(access_pb2.DOOR_KEY):
            if role in ROLES and ROLES[role] >= rpc.minimum_role:
                continue
            for verb, path in rpc.http:
                answer = client.request(verb, path, content=b"{}" if verb in ("POST", "PATCH") else None)
                wanted = (
                    (401, code_pb2.UNAUTHENTICATED, "API_KEY_INVALID")
                    if not headers
                    else (403, code_pb2.PERMISSION_DENIED, "ROLE_TOO_LOW")
                )
                body = json.loads(answer.content)
                found = (answer.status_code, body["code"], body["details"][0]["reason"])
                if found != wanted:
                    wrong[f"{verb} {path}"] = found

    assert wrong == {}


@pytest.mark.parametrize("role", [*ROLES, "nobody"])
def test_rpcs_of_the_mesh_are_not_at_the_edge_for_anyone(edge: grpc.Channel, keys: dict[str, str], role: str) -> None:
    headers = {"authorization": f"Bearer {keys[role]}"} if role in ROLES else {}

    answers = {rpc.name: call(edge, rpc, headers)[0] for rpc in at_the_door(access_pb2.DOOR_MESH)}

    reached = {
        name: code
        for name, code in answers.items()
        if code
        not in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
    }
    assert reached == {}


def mesh_channel(mesh: Mesh, identity: str, package: str) -> grpc.Channel:
    """Open a channel directly to a service's mesh port, with a mesh certificate."""
    folder = mesh.data / "certificates"
    port_name, peer = HOMES[package]
    port = json.loads((mesh.data / "ports.json").read_text())[port_name]
    credentials = grpc.ssl_channel_credentials(
        (folder / "ca.pem").read_bytes(),
        (folder / f"{identity}.key").read_bytes(),
        (folder / f"{identity}.pem").read_bytes(),
    )
    return grpc.secure_channel(
        f"127.0.0.1:{port}", credentials, [("grpc.ssl_target_name_override", f"{peer}.mailmesh.internal")]
    )


def homes_of(rpc: Rpc) -> tuple[str, ...]:
    """Return the packages of the services that serve an RPC."""
    return ROWS_HOMES if rpc.name.startswith(ROWS) else (rpc.package,)


@pytest.mark.parametrize("identity", IDENTITIES)
def test_every_mesh_identity_may_call_exactly_the_rpcs_that_the_contract_names(mesh: Mesh, identity: str) -> None:
    wrong = {}
    for package in HOMES:
        with mesh_channel(mesh, identity, package) as channel:
            for rpc in (rpc for rpc in rpcs() if package in homes_of(rpc)):
                code, reason = call(channel, rpc, {})
                is_mesh = rpc.door == access_pb2.DOOR_MESH
                is_allowed = identity in rpc.callers if is_mesh else identity == "envoy"
                is_refused = reason in ("CALLER_NOT_ALLOWED", "CALLER_UNKNOWN")
                if is_allowed == is_refused:
                    wrong[rpc.name] = (code, reason)

    assert wrong == {}


@pytest.mark.parametrize("identity", ["ingest", "processor", "operator"])
def test_identity_headers_are_believed_from_the_edge_only(mesh: Mesh, identity: str) -> None:
    forged = {
        "x-mailmesh-role": "admin",
        "x-mailmesh-key-id": "019a9f0e-7c1e-7000-8000-000000000000",
        "x-mailmesh-tenants": "*",
        "x-mailmesh-abilities": "*",
    }
    with mesh_channel(mesh, identity, "vault") as channel:
        answers = {
            rpc.name: call(channel, rpc, forged)
            for rpc in rpcs()
            if rpc.package == "vault" and rpc.door == access_pb2.DOOR_KEY
        }

    assert {(grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")} == set(answers.values())


@pytest.mark.parametrize("package", HOMES)
def test_no_certificate_no_connection(mesh: Mesh, package: str) -> None:
    port_name, peer = HOMES[package]
    port = json.loads((mesh.data / "ports.json").read_text())[port_name]
    credentials = grpc.ssl_channel_credentials((mesh.data / "certificates" / "ca.pem").read_bytes())
    options = [("grpc.ssl_target_name_override", f"{peer}.mailmesh.internal")]
    with (
        grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=10)

    assert refused.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
