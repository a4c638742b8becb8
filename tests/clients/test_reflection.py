"""Reflection and health at the edge: every symbol of the edge is found, and nothing of the mesh alone."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from functools import cache

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.reflection_pb2 import ExtensionRequest, ServerReflectionRequest, ServerReflectionResponse

from mailmesh.access.v1 import access_pb2
from services.meshkit.reflection import HEALTH, MAX_QUESTIONS, SERVICES, own_files, symbols
from services.token_vault.api_access.edge_contract import edge_files
from tests.clients.served import ADMIN_KEY, ServedEdge
from tests.programs.toolchains import require
from tools.generate.protos import CACHE, ROOT

pytestmark = pytest.mark.timeout(300)
BIN = CACHE / "go" / "bin"
SERVING = health_pb2.HealthCheckResponse.SERVING
# One symbol of every kind that a proto file can declare.
KINDS = [
    "mailmesh.vault.v1.TenantService",
    "mailmesh.vault.v1.TenantService.GetTenant",
    "mailmesh.vault.v1.Tenant",
    "mailmesh.vault.v1.Tenant.tenant_id",
    "mailmesh.vault.v1.TenantStatus",
    "mailmesh.vault.v1.TENANT_STATUS_ACTIVE",
    "mailmesh.vault.v1.TenantStatus.TENANT_STATUS_ACTIVE",
    "mailmesh.processor.v1.Event.kind",
    "mailmesh.access.v1.door",
    "mailmesh.access.v1.DOOR_KEY",
    "mailmesh.errors.v1.ErrorReason",
    "google.rpc.ErrorInfo",
    "google.rpc.QuotaFailure.Violation",
    "google.protobuf.FieldDescriptorProto.Type",
    "google.protobuf.FieldDescriptorProto.TYPE_BOOL",
    "grpc.health.v1.Health.Check",
    "grpc.health.v1.HealthCheckResponse.ServingStatus",
    "grpc.health.v1.HealthCheckResponse.SERVING",
    "grpc.reflection.v1.ServerReflection.ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection",
]
MESH_FILES = [
    "mailmesh/ingest/v1/inbox_service.proto",
    "mailmesh/primitives/v1/arrival_service.proto",
    "mailmesh/primitives/v1/fetched_service.proto",
    "mailmesh/primitives/v1/quote_service.proto",
    "mailmesh/processor/v1/event_feed_service.proto",
    "mailmesh/vault/v1/content_key_service.proto",
    "mailmesh/vault/v1/tenant_rows_service.proto",
    "mailmesh/vault/v1/token_vault_service.proto",
]


@cache
def contract() -> FileDescriptorSet:
    return FileDescriptorSet.FromString((ROOT / "gen" / "mailmesh.binpb").read_bytes())


def mesh_services() -> list[str]:
    return [
        f"{file.package}.{service.name}"
        for file in contract().file
        for service in file.service
        if service.options.Extensions[access_pb2.door] == access_pb2.DOOR_MESH
    ]


@pytest.fixture
async def channel(edge: ServedEdge) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(edge.address, [("grpc.enable_http_proxy", 0)]) as opened:
        yield opened


async def ask(channel: grpc.aio.Channel, service: str, questions: list[ServerReflectionRequest]) -> list[object]:
    """Returns, for each question, the names of the files of the answer, or the code of its error."""
    info = channel.stream_stream(
        f"/{service}/ServerReflectionInfo",
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )
    return [read(answer) async for answer in info(iter(questions), timeout=60)]


def read(answer: ServerReflectionResponse) -> object:
    if answer.HasField("error_response"):
        return answer.error_response.error_code
    if answer.HasField("all_extension_numbers_response"):
        return list(answer.all_extension_numbers_response.extension_number)
    raw = answer.file_descriptor_response.file_descriptor_proto
    return [FileDescriptorProto.FromString(one).name for one in raw]


async def ask_names(channel: grpc.aio.Channel, service: str, kind: str, names: list[str]) -> dict[str, object]:
    questions = [ServerReflectionRequest(**{kind: name}) for name in names]
    parts = [questions[begin : begin + MAX_QUESTIONS] for begin in range(0, len(questions), MAX_QUESTIONS)]
    answers = [answer for part in parts for answer in await ask(channel, service, part)]
    return dict(zip(names, answers, strict=True))


@pytest.mark.parametrize("service", SERVICES)
async def test_a_symbol_of_every_kind_is_found(service: str, channel: grpc.aio.Channel) -> None:
    answers = await ask_names(channel, service, "file_containing_symbol", KINDS)

    assert {name for name, answer in answers.items() if not isinstance(answer, list)} == set()


@pytest.mark.parametrize("service", SERVICES)
async def test_every_symbol_of_the_contract_is_found_exactly_if_the_edge_serves_it(
    service: str, channel: grpc.aio.Channel
) -> None:
    shown = {symbol for file in [*edge_files(contract()), *own_files()] for symbol in symbols(file)}
    known = {symbol for file in contract().file for symbol in symbols(file)} | shown
    answers = await ask_names(channel, service, "file_containing_symbol", sorted(known))

    assert {name for name, answer in answers.items() if isinstance(answer, list)} == shown
    assert {"mailmesh.vault.v1.TokenVaultService.IssueToken", "mailmesh.ingest.v1.Watch"} <= known - shown
    assert not any(symbol.startswith(tuple(mesh_services())) for symbol in shown)


@pytest.mark.parametrize("service", SERVICES)
async def test_files_are_given_by_name_without_those_of_the_mesh(service: str, channel: grpc.aio.Channel) -> None:
    names = [file.name for file in [*contract().file, *own_files()]]
    answers = await ask_names(channel, service, "file_by_filename", names)

    refused = {name for name, answer in answers.items() if answer == grpc.StatusCode.NOT_FOUND.value[0]}
    assert refused == set(MESH_FILES)
    for name in set(names) - refused:
        files = answers[name]
        assert isinstance(files, list)
        assert files[0] == name
        assert not set(files) & set(MESH_FILES)


async def test_extensions_are_found_by_number(channel: grpc.aio.Channel) -> None:
    extension = access_pb2.door
    options = extension.containing_type.full_name
    asked = ExtensionRequest(containing_type=options, extension_number=extension.number)
    unknown = ExtensionRequest(containing_type=options, extension_number=extension.number + 5000)
    questions = [
        ServerReflectionRequest(file_containing_extension=asked),
        ServerReflectionRequest(all_extension_numbers_of_type=options),
        ServerReflectionRequest(all_extension_numbers_of_type="mailmesh.vault.v1.Tenant"),
        ServerReflectionRequest(file_containing_extension=unknown),
        ServerReflectionRequest(all_extension_numbers_of_type="mailmesh.vault.v1.IssueTokenRequest"),
        ServerReflectionRequest(),
    ]
    not_found, invalid = grpc.StatusCode.NOT_FOUND.value[0], grpc.StatusCode.INVALID_ARGUMENT.value[0]
    answers = await ask(channel, SERVICES[0], questions)

    assert isinstance(answers[0], list)
    assert answers[0][0] == "mailmesh/access/v1/access.proto"
    assert answers[1:] == [[extension.number], [], not_found, not_found, invalid]


async def test_health_answers_for_no_service_of_the_mesh(channel: grpc.aio.Channel) -> None:
    async def status(service: str) -> object:
        try:
            answer = await health(health_pb2.HealthCheckRequest(service=service), timeout=30)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return answer.status

    health = health_pb2_grpc.HealthStub(channel).Check
    hidden = [*mesh_services(), "envoy.service.auth.v3.Authorization"]

    assert [await status(name) for name in ("", "mailmesh.vault.v1.TenantService")] == [SERVING, SERVING]
    assert {await status(name) for name in hidden} == {grpc.StatusCode.NOT_FOUND}


async def grpcurl(edge: ServedEdge, *arguments: str) -> str:
    """Runs the real grpcurl; returns its output and asserts that it succeeds."""
    require(str(BIN / "grpcurl"))
    return await program(str(BIN / "grpcurl"), "-plaintext", edge.address, *arguments)


async def program(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, env={"PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_grpcurl_describes_everything_that_it_lists(edge: ServedEdge) -> None:
    listed = (await grpcurl(edge, "list")).split()
    described = [await grpcurl(edge, "describe", name) for name in listed]

    assert {HEALTH, *SERVICES, "mailmesh.vault.v1.TenantService"} <= set(listed)
    assert not set(mesh_services()) & set(listed)
    assert all(f"{name} is a service" in text for name, text in zip(listed, described, strict=True))


@pytest.mark.parametrize("symbol", KINDS)
async def test_grpcurl_describes_each_kind_of_symbol(symbol: str, edge: ServedEdge) -> None:
    # grpcurl prints values below their enum, however they are asked for.
    assert re.search(rf"^\S*\b{symbol.rpartition('.')[2]} is ", await grpcurl(edge, "describe", symbol))


async def test_ghz_calls_a_method_by_reflection(edge: ServedEdge) -> None:
    require(str(BIN / "ghz"))
    call = [
        "--call",
        "mailmesh.vault.v1.TenantService.GetTenant",
        "-d",
        '{"tenantId": "tenant-1"}',
        "-n",
        "4",
        "-c",
        "2",
    ]
    metadata = ["-m", f'{{"authorization": "Bearer {ADMIN_KEY}"}}']
    report = await program(str(BIN / "ghz"), "--insecure", "--format", "json", *call, *metadata, edge.address)

    assert json.loads(report)["statusCodeDistribution"] == {"OK": 4}
