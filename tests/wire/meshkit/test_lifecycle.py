"""How a server starts, tells its health, and ends."""

import asyncio
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.meshkit import errors
from services.meshkit import server as mesh_server
from services.meshkit.access import ContractError
from services.meshkit.channel import mesh_channel
from services.meshkit.health import Dependency, Health
from services.meshkit.reflection import MAX_QUESTIONS
from services.meshkit.server import ServerLimits
from services.meshkit.settings import SettingsError
from services.meshkit.status import from_rpc_error
from tests.programs.echo import echo_files, echo_service
from tests.wire.meshkit.conftest import SERVER, Connect, Echo, EchoServicer, make_server, pb, pb_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health_of(channel: grpc.aio.Channel, service: str = "") -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status


async def test_a_server_is_healthy_as_a_whole_and_by_service(server, connect: Connect):
    channel = await connect(server, "operator")

    assert [SERVING, SERVING] == [await health_of(channel), await health_of(channel, "echo.v1.KeyEcho")]


async def test_health_does_not_know_the_services_of_the_mesh(server, connect: Connect):
    channel = await connect(server, "envoy")

    with pytest.raises(errors.NotFound):
        await health_of(channel, "echo.v1.MeshEcho")


async def test_health_follows_what_the_server_needs(echo: Echo, tls, connect: Connect):
    is_up = True

    async def ping():
        if not is_up:
            raise errors.StoreUnavailable

    server = make_server(echo, tls(SERVER), health=Health(interval_seconds=0.01))
    server.depends_on(Dependency("store", ping))
    async with server.running():
        watch = health_pb2_grpc.HealthStub(await connect(server, "envoy")).Watch(health_pb2.HealthCheckRequest())
        told = [(await watch.read()).status]
        is_up = False
        told.append((await watch.read()).status)
        is_up = True
        told.append((await watch.read()).status)
        watch.cancel()

    assert [SERVING, NOT_SERVING, SERVING] == told


async def test_what_is_not_vital_is_only_watched(echo: Echo, tls, connect: Connect):
    async def refuse():
        raise ConnectionRefusedError

    server = make_server(echo, tls(SERVER))
    server.depends_on(Dependency("cache", refuse, is_vital=False))
    async with server.running():
        assert SERVING == await health_of(await connect(server, "operator"))


async def test_a_ping_that_hangs_counts_as_no_answer(echo: Echo, tls, connect: Connect):
    server = make_server(echo, tls(SERVER), health=Health(timeout_seconds=0.01))
    server.depends_on(Dependency("store", asyncio.Event().wait))  # type: ignore[arg-type]
    async with server.running():
        assert NOT_SERVING == await health_of(await connect(server, "operator"))


async def test_a_running_call_is_finished_before_the_server_ends(serve, connect: Connect, echo: Echo):
    release = asyncio.Event()

    async def wait(_request):
        await release.wait()
        return "done"

    echo.behaviours["wait"] = wait
    stop = asyncio.Event()
    server = None

    async def run(ready: asyncio.Event):
        nonlocal server
        async with serve(limits=ServerLimits(grace_seconds=10)) as server:
            ready.set()
            await stop.wait()

    ready = asyncio.Event()
    running = asyncio.create_task(run(ready))
    await ready.wait()
    stub = pb_grpc.MeshEchoStub(await connect(server, "ingest"))
    call = asyncio.ensure_future(stub.One(pb.EchoRequest(text="wait")))
    await echo.entered.wait()
    stop.set()
    await server.stopping.wait()
    release.set()

    assert "done" == (await call).text
    await running
    with pytest.raises(errors.ServiceUnavailable):
        await stub.One(pb.EchoRequest(text="more"), timeout=30)


async def test_a_call_that_does_not_end_in_time_is_cut(serve, connect: Connect, echo: Echo):
    async def hang(_request):
        await asyncio.Event().wait()

    echo.behaviours["hang"] = hang
    async with serve(limits=ServerLimits(grace_seconds=0.05)) as server:
        stub = pb_grpc.MeshEchoStub(await connect(server, "ingest"))
        call = asyncio.ensure_future(stub.One(pb.EchoRequest(text="hang")))
        await echo.entered.wait()

    with pytest.raises(errors.Unavailable):
        await call
    async with asyncio.timeout(60):
        await echo.ended.wait()


async def test_the_health_of_a_server_that_drains_is_not_serving(serve, connect: Connect):
    async with serve(limits=ServerLimits(grace_seconds=1, drain_seconds=0.3)) as server:
        watch = health_pb2_grpc.HealthStub(await connect(server, "envoy")).Watch(health_pb2.HealthCheckRequest())
        told = [(await watch.read()).status]
        seen = asyncio.ensure_future(watch.read())
    told.append((await seen).status)

    assert [SERVING, NOT_SERVING] == told


async def test_a_taken_port_is_told_at_once(echo: Echo, tls):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SettingsError, match="MAILMESH_LISTEN"):
            make_server(echo, tls(SERVER), listen=f"127.0.0.1:{taken.getsockname()[1]}")


async def test_a_peer_that_shows_no_certificate_is_cut_off(echo: Echo, tls, monkeypatch):
    monkeypatch.setattr(mesh_server, "_HANDSHAKE_MILLISECONDS", 200)
    server = make_server(echo, tls(SERVER))
    async with server.running():
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        async with asyncio.timeout(60):
            with suppress(ConnectionResetError):
                assert b"" == await reader.read()
        writer.close()


async def test_a_dependency_that_fails_in_an_unexpected_way_is_not_up_and_is_asked_again(echo: Echo, tls, connect):
    outcomes = [ZeroDivisionError(), ZeroDivisionError()]

    async def ping():
        if outcomes:
            raise outcomes.pop()

    server = make_server(echo, tls(SERVER), health=Health(interval_seconds=0.01))
    server.depends_on(Dependency("odd", ping))
    async with server.running():
        watch = health_pb2_grpc.HealthStub(await connect(server, "envoy")).Watch(health_pb2.HealthCheckRequest())
        async with asyncio.timeout(60):
            while (await watch.read()).status != SERVING:
                pass
        watch.cancel()

    assert [] == outcomes


async def test_a_server_listens_on_a_unix_socket(echo: Echo, tls, short_folder: Path):
    path = f"unix:{short_folder}/echo.sock"
    server = make_server(echo, tls(SERVER), listen=path)
    async with server.running(), mesh_channel(path, SERVER, tls("ingest")) as channel:
        assert "hi" == (await pb_grpc.MeshEchoStub(channel).One(pb.EchoRequest(text="hi"))).text


@pytest.mark.parametrize("name", ["DoorlessEcho", "CallerlessEcho", "RolelessEcho"])
async def test_a_service_that_leaves_open_who_may_call_is_not_served(name, echo: Echo, tls):
    server = make_server(echo, tls(SERVER))
    add = getattr(pb_grpc, f"add_{name}Servicer_to_server")

    with pytest.raises(ContractError):
        server.add(add, EchoServicer(echo), echo_service(name))


async def test_a_foreign_service_is_open_to_the_callers_it_is_added_for(echo: Echo, tls, connect: Connect):
    server = make_server(echo, tls(SERVER))
    add = pb_grpc.add_DoorlessEchoServicer_to_server
    server.add(add, EchoServicer(echo), echo_service("DoorlessEcho"), callers=["envoy"])
    async with server.running():
        request = pb.EchoRequest(text="hi")
        answer = await pb_grpc.DoorlessEchoStub(await connect(server, "envoy")).One(request)
        with pytest.raises(errors.PermissionDenied):
            await pb_grpc.DoorlessEchoStub(await connect(server, "ingest")).One(request)

    assert "hi" == answer.text


async def test_reflection_lists_what_it_was_told_and_what_each_server_has(echo: Echo, tls, connect: Connect):
    server = make_server(echo, tls(SERVER))
    server.reflect(["echo.v1.KeyEcho"], echo_files())
    async with server.running():
        stub = reflection_pb2_grpc.ServerReflectionStub(await connect(server, "envoy"))
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        answers = [answer async for answer in stub.ServerReflectionInfo(iter([question]))]

    assert [
        "echo.v1.KeyEcho",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ] == [service.name for service in answers[0].list_services_response.service]


async def test_one_stream_cannot_ask_reflection_without_end(echo: Echo, tls, connect: Connect):
    server, answered = make_server(echo, tls(SERVER)), 0
    server.reflect(["echo.v1.KeyEcho"], echo_files())
    question = reflection_pb2.ServerReflectionRequest(file_containing_symbol="echo.v1.KeyEcho")
    async with server.running():
        stub = reflection_pb2_grpc.ServerReflectionStub(await connect(server, "envoy"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for answer in stub.ServerReflectionInfo(iter([question] * (MAX_QUESTIONS + 1))):
                answered += bool(answer.file_descriptor_response.file_descriptor_proto)

    assert (MAX_QUESTIONS, "OVERLOADED") == (answered, from_rpc_error(caught.value).reason)


async def test_a_service_without_its_file_is_not_listed(echo: Echo, tls):
    server = make_server(echo, tls(SERVER))

    with pytest.raises(ContractError, match=r"echo\.v1\.KeyEcho"):
        server.reflect(["echo.v1.KeyEcho"], [])


PROGRAM = """
import asyncio, sys
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.logs import configure_logs
from services.meshkit.process import run
from services.meshkit.server import MeshServer
from pathlib import Path

async def main(stop):
    configure_logs("echo")
    server = MeshServer("echo", "127.0.0.1:0", TlsFiles(*map(Path, sys.argv[1:4])))
    async with server.running():
        print("ready", flush=True)
        await stop.wait()
    print("ended", flush=True)

sys.exit(run(main))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_ends_gracefully_when_it_is_told_to(number, tls):
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, *map(str, tls(SERVER).paths), stdout=asyncio.subprocess.PIPE
    )
    assert program.stdout is not None
    assert b"ready\n" == await program.stdout.readline()
    program.send_signal(number)
    rest = await program.stdout.read()

    assert (b"ended\n", 0) == (rest, await program.wait())


async def test_a_process_without_its_settings_says_what_is_missing():
    source = (
        "import sys\nfrom services.meshkit.process import run\n"
        "from services.meshkit.settings import MeshSettings, load\n"
        "async def main(stop): load(MeshSettings)\nsys.exit(run(main))"
    )
    program = await asyncio.create_subprocess_exec(sys.executable, "-c", source, stderr=asyncio.subprocess.PIPE)
    assert program.stderr is not None
    told = (await program.stderr.read()).decode()

    assert 2 == await program.wait()
    assert 4 == told.count("is not set")
    assert "Traceback" not in told
