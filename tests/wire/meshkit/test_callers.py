"""The callers of each RPC, over real connections with real certificates."""

import dataclasses

import grpc
import pytest

from services.meshkit import errors
from services.meshkit.channel import mesh_channel
from services.meshkit.identity.caller import Caller, Role
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.status import remote_errors
from stack.certificates import MeshCertificates
from tests.wire.meshkit.conftest import ARITIES, SERVER, Connect, Echo, call_as, pb, pb_grpc

REQUEST = pb.EchoRequest(text="hello")
READER = (("x-mailmesh-key-id", "key-1"), ("x-mailmesh-role", "reader"), ("x-mailmesh-tenants", "t1, t2"))
ADMIN = (("x-mailmesh-key-id", "key-2"), ("x-mailmesh-role", "admin"), ("x-mailmesh-tenants", "*"))
READS = frozenset({"mail.read"})


@pytest.mark.parametrize("arity", ARITIES)
async def test_a_mesh_identity_that_is_not_named_is_refused(arity, server, connect: Connect, echo: Echo):
    stub = pb_grpc.MeshEchoStub(await connect(server, "operator"))

    with pytest.raises(errors.PermissionDenied) as caught, remote_errors(SERVER):
        await call_as(getattr(stub, arity), arity, REQUEST)

    assert ("CALLER_NOT_ALLOWED", {"caller": "operator"}) == (caught.value.reason, caught.value.metadata)
    assert [] == echo.seen


async def test_a_method_names_its_own_callers(server, connect: Connect):
    stub = pb_grpc.MeshEchoStub(await connect(server, "processor"))

    assert "hello" == (await stub.One(REQUEST)).text
    with pytest.raises(errors.PermissionDenied), remote_errors(SERVER):
        await call_as(stub.Many, "Many", REQUEST)


async def test_the_handler_knows_the_mesh_identity_that_calls(server, connect: Connect, echo: Echo):
    await pb_grpc.MeshEchoStub(await connect(server, "ingest")).One(REQUEST)

    assert [Caller("ingest")] == echo.callers


async def test_the_handler_knows_the_key_its_role_and_its_tenants(server, connect: Connect, echo: Echo):
    await pb_grpc.KeyEchoStub(await connect(server, "envoy")).Read(REQUEST, metadata=READER)
    await pb_grpc.KeyEchoStub(await connect(server, "envoy")).Manage(REQUEST, metadata=ADMIN)

    assert [
        Caller("envoy", "key-1", Role.READER, frozenset({"t1", "t2"}), READS),
        Caller("envoy", "key-2", Role.ADMIN, None, READS),
    ] == echo.callers


async def test_a_role_that_is_too_low_is_refused(server, connect: Connect, echo: Echo):
    with pytest.raises(errors.PermissionDenied) as caught:
        await pb_grpc.KeyEchoStub(await connect(server, "envoy")).Manage(REQUEST, metadata=READER)

    assert "ROLE_TOO_LOW" == caught.value.reason
    assert {"required_role": "admin", "role": "reader"} == caught.value.metadata
    assert [] == echo.seen


async def test_a_key_without_the_ability_is_refused(server, connect: Connect, echo: Echo):
    stub = pb_grpc.KeyEchoStub(await connect(server, "envoy"))
    for metadata in (ADMIN, (*ADMIN, ("x-mailmesh-abilities", "mail.mark,calendar.read"))):
        with pytest.raises(errors.PermissionDenied) as caught:
            await stub.Send(REQUEST, metadata=metadata)

        assert "KEY_LACKS_ABILITY" == caught.value.reason
        assert "mail.send" == caught.value.metadata["required_ability"]
    assert [] == echo.seen
    for abilities in ("*", "mail.read,mail.send"):
        assert "hello" == (await stub.Send(REQUEST, metadata=(*READER, ("x-mailmesh-abilities", abilities)))).text


@pytest.mark.parametrize("left_out", range(3))
async def test_the_edge_must_say_for_whom_it_calls(left_out, server, connect: Connect, echo: Echo):
    headers = [header for index, header in enumerate(READER) if index != left_out]

    with pytest.raises(errors.Unauthenticated) as caught:
        await pb_grpc.KeyEchoStub(await connect(server, "envoy")).Read(REQUEST, metadata=headers)

    assert ("API_KEY_INVALID", []) == (caught.value.reason, echo.seen)


@pytest.mark.parametrize("role", ["root", "ADMIN", "none", "admin,admin", ""])
async def test_a_role_that_does_not_exist_is_no_role(role, server, connect: Connect):
    headers = [(name, role if name.endswith("role") else value) for name, value in ADMIN]

    with pytest.raises(errors.Unauthenticated):
        await pb_grpc.KeyEchoStub(await connect(server, "envoy")).Read(REQUEST, metadata=headers)


async def test_a_header_that_comes_twice_widens_nothing(server, connect: Connect):
    headers = (*READER, ("x-mailmesh-role", "admin"))

    with pytest.raises(errors.Unauthenticated):
        await pb_grpc.KeyEchoStub(await connect(server, "envoy")).Manage(REQUEST, metadata=headers)


async def test_a_second_tenants_header_does_not_open_all_tenants(server, connect: Connect, echo: Echo):
    headers = (*READER, ("x-mailmesh-tenants", "*"))
    await pb_grpc.KeyEchoStub(await connect(server, "envoy")).Read(REQUEST, metadata=headers)

    assert frozenset({"t1", "t2", "*"}) == echo.callers[0].tenants
    assert not echo.callers[0].may_see("t3")


@pytest.mark.parametrize("name", ["ingest", "processor", "operator"])
async def test_only_the_edge_reaches_the_edges_doors(name, server, connect: Connect, echo: Echo):
    channel = await connect(server, name)

    for method in (pb_grpc.KeyEchoStub(channel).Read, pb_grpc.OpenEchoStub(channel).Knock):
        with pytest.raises(errors.PermissionDenied):
            await method(REQUEST, metadata=ADMIN)
    assert [] == echo.seen


async def test_identity_headers_from_another_identity_than_the_edge_are_refused(server, connect: Connect, echo: Echo):
    with pytest.raises(errors.PermissionDenied):
        await pb_grpc.MeshEchoStub(await connect(server, "ingest")).One(REQUEST, metadata=ADMIN)

    assert [] == echo.seen


async def test_the_edge_does_not_reach_the_mesh_door(server, connect: Connect):
    with pytest.raises(errors.PermissionDenied):
        await pb_grpc.MeshEchoStub(await connect(server, "envoy")).One(REQUEST, metadata=ADMIN)


async def test_behind_the_open_door_nobody_has_a_key_or_tenants(server, connect: Connect, echo: Echo):
    await pb_grpc.OpenEchoStub(await connect(server, "envoy")).Knock(REQUEST, metadata=ADMIN)

    assert [Caller("envoy", "", Role.NONE, frozenset())] == echo.callers


async def test_a_client_without_a_certificate_does_not_get_through(server, certificates: MeshCertificates, echo: Echo):
    credentials = grpc.ssl_channel_credentials(certificates.authority.read_bytes())
    options = [("grpc.ssl_target_name_override", f"{SERVER}.mailmesh.internal")]
    async with grpc.aio.secure_channel(f"127.0.0.1:{server.port}", credentials, options) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await pb_grpc.MeshEchoStub(channel).One(REQUEST, timeout=30)

    assert (grpc.StatusCode.UNAVAILABLE, []) == (caught.value.code(), echo.seen)


async def test_a_client_of_another_authority_does_not_get_through(server, tls, tmp_path, echo: Echo):
    stranger = MeshCertificates(tmp_path / "certificates")
    stranger.ensure()
    forged = stranger.identity("ingest")
    files = TlsFiles(forged.certificate, forged.key, tls("ingest").authority)

    async with mesh_channel(f"127.0.0.1:{server.port}", SERVER, files) as channel:
        with pytest.raises(errors.ServiceUnavailable):
            await pb_grpc.MeshEchoStub(channel).One(REQUEST, timeout=30)

    assert [] == echo.seen


async def test_a_client_without_tls_does_not_get_through(server, echo: Echo):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await pb_grpc.MeshEchoStub(channel).One(REQUEST, timeout=30)

    assert [] == echo.seen


async def test_a_server_with_another_name_is_not_believed(server, tls, echo: Echo):
    async with mesh_channel(f"127.0.0.1:{server.port}", "processor", tls("ingest")) as channel:
        with pytest.raises(errors.ServiceUnavailable) as caught:
            await pb_grpc.MeshEchoStub(channel).One(REQUEST, timeout=30)

    assert {"service": "processor"} == caught.value.metadata
    assert [] == echo.seen


def test_a_caller_never_changes():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Caller("ingest").role = Role.ADMIN  # type: ignore[misc]
