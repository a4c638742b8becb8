"""Channels: what they repeat, how they find a peer again, what they carry."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from services.meshkit import errors
from services.meshkit.channel import CallCaps, mesh_channel
from services.meshkit.server import ServerLimits
from services.meshkit.status import remote_errors
from stack.ports import free_port
from tests.wire.meshkit.conftest import SERVER, Connect, Echo, make_server, pb, pb_grpc

REQUEST = pb.EchoRequest(text="flaky")


def flaky(failures: int):
    """Fails so often, then answers."""
    left = failures

    async def behave(_request):
        nonlocal left
        if left:
            left -= 1
            raise errors.StoreUnavailable
        return "answered"

    return behave


async def test_a_method_that_is_safe_to_repeat_is_repeated(server, connect: Connect, echo: Echo):
    echo.behaviours["flaky"] = flaky(2)
    stub = pb_grpc.MeshEchoStub(await connect(server, "ingest", retry_safe=["/echo.v1.MeshEcho/One"]))

    assert "answered" == (await stub.One(REQUEST)).text
    assert 3 == len(echo.seen)


async def test_other_methods_are_tried_once(server, connect: Connect, echo: Echo):
    echo.behaviours["flaky"] = flaky(2)
    stub = pb_grpc.MeshEchoStub(await connect(server, "ingest"))

    with pytest.raises(errors.Unavailable) as caught:
        await stub.One(REQUEST)

    assert ("STORE_UNAVAILABLE", 1) == (caught.value.reason, len(echo.seen))


async def test_repeating_ends(server, connect: Connect, echo: Echo):
    echo.behaviours["flaky"] = flaky(1000)
    stub = pb_grpc.MeshEchoStub(await connect(server, "ingest", retry_safe=["/echo.v1.MeshEcho/One"]))

    with pytest.raises(errors.Unavailable):
        await stub.One(REQUEST)

    assert 4 == len(echo.seen)


async def test_all_tries_share_one_deadline(server, connect: Connect, echo: Echo):
    async def slow(_request):
        await asyncio.sleep(0.3)
        raise errors.StoreUnavailable

    echo.behaviours["flaky"] = slow
    stub = pb_grpc.MeshEchoStub(await connect(server, "ingest", retry_safe=["/echo.v1.MeshEcho/One"]))

    with pytest.raises((errors.Unavailable, errors.DeadlineExceeded)):
        await stub.One(REQUEST, timeout=0.5)

    assert 2 >= len(echo.seen)


async def test_a_peer_that_restarts_is_found_again(echo: Echo, tls, connect: Connect):
    listen = f"127.0.0.1:{free_port()}"
    first = make_server(echo, tls(SERVER), listen=listen)
    async with first.running():
        stub = pb_grpc.MeshEchoStub(await connect(first, "ingest"))
        await stub.One(pb.EchoRequest(text="a"))
    with pytest.raises(errors.ServiceUnavailable):
        await stub.One(pb.EchoRequest(text="b"), timeout=30)
    async with make_server(echo, tls(SERVER), listen=listen).running(), asyncio.timeout(60):
        answer = None
        while answer is None:
            try:
                answer = await stub.One(pb.EchoRequest(text="c"))
            except errors.ServiceUnavailable:
                await asyncio.sleep(0.05)

    assert "c" == answer.text


async def test_all_processes_behind_an_address_are_called_and_one_that_ends_is_passed_over(tls):
    echoes = [Echo(), Echo()]
    servers = [make_server(one, tls(SERVER), limits=ServerLimits(grace_seconds=1.0)) for one in echoes]
    async with AsyncExitStack() as running:
        ended = AsyncExitStack()
        await ended.enter_async_context(servers[0].running())
        await running.enter_async_context(servers[1].running())
        address = "ipv4:" + ",".join(f"127.0.0.1:{server.port}" for server in servers)
        channel = await running.enter_async_context(mesh_channel(address, SERVER, tls("ingest")))
        stub = pb_grpc.MeshEchoStub(channel)
        async with asyncio.timeout(60):
            while not all(echo.seen for echo in echoes):
                await stub.One(pb.EchoRequest(text="a"))
        await ended.aclose()
        for _ in range(20):
            assert "b" == (await stub.One(pb.EchoRequest(text="b"))).text

    assert 20 == echoes[1].seen.count("b")


@pytest.mark.parametrize("arity", ["One", "Many"])
async def test_a_call_without_a_timeout_has_one(arity, server, connect: Connect, echo: Echo):
    async def hang(_request):
        await asyncio.Event().wait()

    echo.behaviours["hang"] = hang
    caps = CallCaps(unary_seconds=0.1, stream_seconds=0.1)
    call = getattr(pb_grpc.MeshEchoStub(await connect(server, "ingest", caps=caps)), arity)(pb.EchoRequest(text="hang"))

    with pytest.raises(errors.DeadlineTooShort), remote_errors(SERVER):
        await (call if arity == "One" else call.read())


async def test_the_metadata_of_an_answer_is_there(server, connect: Connect):
    call = pb_grpc.MeshEchoStub(await connect(server, "ingest")).One(pb.EchoRequest(text="hi"))
    await call

    assert await call.initial_metadata() is not None
    assert "OK" == (await call.code()).name
