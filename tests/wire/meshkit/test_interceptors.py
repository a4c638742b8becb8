"""The frame of each call: ids, deadlines, failures, required fields."""

import asyncio

import grpc
import pytest
from opentelemetry import trace

from services.meshkit import correlation, deadlines, errors, tracing
from services.meshkit.interceptors.validation import faults
from services.meshkit.metrics import RPC_HANDLED, UNEXPECTED
from services.meshkit.server import ServerLimits
from services.meshkit.status import from_rpc_error, remote_errors
from tests.wire.meshkit.conftest import ARITIES, SERVER, Connect, Echo, call_as, pb, pb_grpc

CANARY = "canary-7f3a"
REQUEST_ID = "019a9f0e-7c1e-7000-8000-000000000007"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("arity", ARITIES)
async def test_an_unforeseen_exception_becomes_an_id_and_nothing_else(arity, server, connect: Connect, echo: Echo):
    async def fail(_request):
        raise ZeroDivisionError(CANARY)

    echo.behaviours["fail"] = fail
    counted = UNEXPECTED.labels(f"/echo.v1.MeshEcho/{arity}")
    before = counted._value.get()
    stub = pb_grpc.MeshEchoStub(await connect(server, "ingest"))

    with pytest.raises(errors.Internal) as caught, remote_errors(SERVER):
        await call_as(getattr(stub, arity), arity, pb.EchoRequest(text="fail"))

    assert "UNEXPECTED" == caught.value.reason
    assert ["error_id"] == list(caught.value.metadata)
    assert CANARY not in f"{caught.value}{caught.value.metadata}"
    assert 1 == counted._value.get() - before


@pytest.mark.parametrize(
    "sent", [b"\x0a\x01\xff", b"\x0a\x03\xed\xa0\x80", b"\xff\xff"], ids=["no UTF-8", "surrogate", "cut off"]
)
@pytest.mark.parametrize("arity", ARITIES)
async def test_bytes_that_are_no_message_are_refused_with_a_reason(
    arity, sent, server, connect: Connect, caplog: pytest.LogCaptureFixture
):
    channel, name = await connect(server, "ingest"), f"/echo.v1.MeshEcho/{arity}"
    shape = {"One": "unary_unary", "Many": "unary_stream", "Collect": "stream_unary", "Chat": "stream_stream"}[arity]

    with pytest.raises(errors.InvalidArgument) as caught, remote_errors(SERVER):
        await call_as(getattr(channel, shape)(name), arity, sent)

    assert "FIELD_INVALID" == caught.value.reason
    assert [] == caplog.records


async def test_answers_before_a_failure_arrive(server, connect: Connect, echo: Echo):
    async def refuse(_request):
        raise errors.ShuttingDown(metadata={"position": "abc"})

    echo.behaviours["x"] = refuse
    call = pb_grpc.MeshEchoStub(await connect(server, "ingest")).Many(pb.EchoRequest(text="x", count=3))
    answers = []

    with pytest.raises(errors.Unavailable) as caught, remote_errors(SERVER):
        async for answer in call:
            answers.append(answer.text)  # noqa: PERF401 - what came before the failure is the point

    assert (["x", "x", "x"], "abc") == (answers, caught.value.metadata["position"])


@pytest.mark.parametrize("arity", ARITIES)
async def test_what_is_required_is_asked_for_at_any_depth(arity, server, connect: Connect, echo: Echo):
    request = pb.EchoRequest(
        part=pb.Part(),
        parts=[pb.Part(name="a"), pb.Part(name="b", parts=[pb.Part()])],
        named_parts={"k": pb.Part()},
    )
    stub = pb_grpc.MeshEchoStub(await connect(server, "ingest"))

    with pytest.raises(errors.InvalidArgument) as caught, remote_errors(SERVER):
        await call_as(getattr(stub, arity), arity, request)

    assert "FIELD_INVALID" == caught.value.reason
    assert {"text", "part.name", "parts[1].parts[0].name", "named_parts[k].name"} == set(caught.value.violations)
    assert [] == echo.seen


async def test_a_bad_message_in_a_stream_ends_it_there(server, connect: Connect, echo: Echo):
    stub = pb_grpc.MeshEchoStub(await connect(server, "ingest"))
    call = stub.Chat(iter([pb.EchoRequest(text="a"), pb.EchoRequest(), pb.EchoRequest(text="b")]))

    with pytest.raises(errors.InvalidArgument), remote_errors(SERVER):
        [answer async for answer in call]

    assert ["a"] == echo.seen


def test_a_message_of_many_missing_fields_is_described_within_bounds():
    request = pb.EchoRequest(parts=[pb.Part()] * 10_000)

    assert 10_001 == sum(1 for _ in faults(request))


async def test_a_call_keeps_its_correlation_id(server, connect: Connect, echo: Echo):
    async def tell(_request):
        return correlation.correlation_id()

    echo.behaviours["tell"] = tell
    stub = pb_grpc.MeshEchoStub(await connect(server, "ingest"))

    with correlation.correlated(REQUEST_ID):
        inherited = (await stub.One(pb.EchoRequest(text="tell"))).text
    made = (await stub.One(pb.EchoRequest(text="tell"))).text
    refused = (await stub.One(pb.EchoRequest(text="tell"), metadata=(("x-request-id", "bobby; drop"),))).text

    assert REQUEST_ID == inherited
    assert 36 == len(made) == len(refused)
    assert made != refused


async def test_a_call_goes_on_with_the_trace_of_its_caller(server, connect: Connect, echo: Echo):
    async def tell(_request):
        return tracing.traceparent()

    echo.behaviours["tell"] = tell
    stub = pb_grpc.MeshEchoStub(await connect(server, "ingest"))
    token = trace.use_span(trace.get_current_span(tracing.context_of(TRACEPARENT)))
    with token:
        answer = await stub.One(pb.EchoRequest(text="tell"))

    assert TRACEPARENT.split("-")[1] == answer.text.split("-")[1]


async def test_a_call_takes_the_deadline_of_its_caller_along(server, connect: Connect, echo: Echo):
    async def tell(_request):
        return str(deadlines.remaining())

    echo.behaviours["tell"] = tell
    stub = pb_grpc.MeshEchoStub(await connect(server, "ingest"))

    own_cap = float((await stub.One(pb.EchoRequest(text="tell"))).text)
    asked = float((await stub.One(pb.EchoRequest(text="tell"), timeout=8)).text)
    async with deadlines.within(6):
        inherited = float((await stub.One(pb.EchoRequest(text="tell"), timeout=60)).text)

    # gRPC rounds a timeout up a little on its way, and the way takes as long as it takes.
    assert 0 < own_cap < 10.2
    assert 0 < asked < 8.1
    assert 0 < inherited < 6.1


async def test_no_call_is_made_when_no_time_is_left(server, connect: Connect, echo: Echo):
    stub = pb_grpc.MeshEchoStub(await connect(server, "ingest"))
    deadlines.set_deadline(0)

    with pytest.raises(errors.DeadlineTooShort):
        await stub.One(pb.EchoRequest(text="late"))

    assert [] == echo.seen


async def test_a_call_past_its_deadline_is_ended_on_both_sides(server, connect: Connect, echo: Echo):
    is_ended = asyncio.Event()

    async def hang(_request):
        try:
            await asyncio.Event().wait()
        finally:
            is_ended.set()

    echo.behaviours["hang"] = hang
    stub = pb_grpc.MeshEchoStub(await connect(server, "ingest"))
    await stub.One(pb.EchoRequest(text="hi"))  # connected: the deadline is for the call alone

    with pytest.raises(errors.DeadlineTooShort):
        await stub.One(pb.EchoRequest(text="hang"), timeout=1)
    assert ["hi", "hang"] == echo.seen
    async with asyncio.timeout(60):
        await is_ended.wait()


@pytest.mark.parametrize("arity", ARITIES)
async def test_a_cancelled_call_is_ended_and_logged(arity, server, connect: Connect, echo: Echo):
    async def hang(_request):
        await asyncio.Event().wait()

    echo.behaviours["hang"] = hang
    counted = RPC_HANDLED.labels(f"/echo.v1.MeshEcho/{arity}", "CANCELLED")
    before = counted._value.get()
    stub = pb_grpc.MeshEchoStub(await connect(server, "ingest"))
    task = asyncio.create_task(call_as(getattr(stub, arity), arity, pb.EchoRequest(text="hang")))
    async with asyncio.timeout(60):
        await echo.entered.wait()
        task.cancel()
        await echo.ended.wait()
        while counted._value.get() == before:
            await asyncio.sleep(0)

    assert task.cancelling()


async def test_a_stream_that_its_reader_leaves_is_ended(server, connect: Connect, echo: Echo):
    call = pb_grpc.MeshEchoStub(await connect(server, "ingest")).Many(pb.EchoRequest(text="x", count=1_000_000))
    counted = RPC_HANDLED.labels("/echo.v1.MeshEcho/Many", "CANCELLED")
    before = counted._value.get()
    async for _ in call:
        break
    call.cancel()

    async with asyncio.timeout(60):
        while counted._value.get() == before:
            await asyncio.sleep(0)


async def test_what_a_peer_holds_against_us_is_not_told_to_our_caller(server, connect: Connect, echo: Echo):
    second = pb_grpc.MeshEchoStub(await connect(server, "operator"))

    async def ask_another(request):
        return (await second.One(request)).text

    echo.behaviours["relay"] = ask_another

    with pytest.raises(errors.Internal) as caught:
        await pb_grpc.MeshEchoStub(await connect(server, "ingest")).One(pb.EchoRequest(text="relay"))

    assert "UNEXPECTED" == caught.value.reason


async def test_what_a_peer_says_about_the_request_is_passed_on(server, connect: Connect, echo: Echo):
    channel = await connect(server, "ingest")

    async def ask_another(_request):
        return (await pb_grpc.MeshEchoStub(channel).One(pb.EchoRequest())).text

    echo.behaviours["relay"] = ask_another

    with pytest.raises(errors.InvalidArgument) as caught:
        await pb_grpc.MeshEchoStub(channel).One(pb.EchoRequest(text="relay"))

    assert {"text": "is required"} == caught.value.violations


async def test_more_calls_than_the_limit_are_refused_at_once(serve, connect: Connect, echo: Echo):
    release = asyncio.Event()

    async def wait(_request):
        await release.wait()
        return "done"

    echo.behaviours["wait"] = wait
    async with serve(limits=ServerLimits(concurrent_rpcs=1, grace_seconds=1)) as server:
        stub = pb_grpc.MeshEchoStub(await connect(server, "ingest"))
        first = asyncio.create_task(call_as(stub.One, "One", pb.EchoRequest(text="wait")))
        await echo.entered.wait()
        with pytest.raises(errors.ResourceExhausted) as caught:
            await stub.One(pb.EchoRequest(text="more"))
        release.set()
        await first
        after = await stub.One(pb.EchoRequest(text="after"))

    assert ("OVERLOADED", True, "after") == (caught.value.reason, caught.value.retry_after is not None, after.text)


@pytest.mark.parametrize("holder", ["key", "address"])
async def test_one_key_or_address_cannot_take_the_calls_of_another(serve, dial, echo: Echo, holder: str):
    def headers(name: str) -> list[tuple[str, str]]:
        if holder == "address":
            return [("x-mailmesh-source-address", name)]
        return [("x-mailmesh-key-id", name), ("x-mailmesh-role", "admin"), ("x-mailmesh-tenants", "*")]

    release = asyncio.Event()

    async def wait(_request):
        await release.wait()
        return "done"

    echo.behaviours["wait"] = wait
    # No server has to ask for the shares: one holder has half of the bound at most.
    async with serve(limits=ServerLimits(concurrent_rpcs=2, grace_seconds=1)) as server:
        channel = await dial(server, "envoy")
        call = pb_grpc.KeyEchoStub(channel).Read if holder == "key" else pb_grpc.OpenEchoStub(channel).Knock
        # One subscriber of IPv6 has a whole network of addresses.
        first, same, other = ("a", "a", "b") if holder == "key" else ("2001:db8::1", "2001:db8::2", "203.0.113.7")
        held = asyncio.create_task(call_as(call, "One", pb.EchoRequest(text="wait"), metadata=headers(first)))
        await echo.entered.wait()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(pb.EchoRequest(text="more"), metadata=headers(same))
        answered = await call(pb.EchoRequest(text="other"), metadata=headers(other))
        release.set()
        await held

    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "other") == (refused.value.code(), answered.text)


async def test_a_message_that_is_too_large_is_refused(serve, dial, echo: Echo):
    async with serve(limits=ServerLimits(message_bytes=1000, grace_seconds=1)) as server:
        stub = pb_grpc.MeshEchoStub(await dial(server, "ingest"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.One(pb.EchoRequest(text="x" * 2000))

    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, []) == (caught.value.code(), echo.seen)


async def test_an_unknown_method_is_unimplemented(server, dial):
    channel = await dial(server, "ingest")

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary("/echo.v1.MeshEcho/Nothing")(b"")

    assert grpc.StatusCode.UNIMPLEMENTED == caught.value.code()


async def test_a_message_that_is_none_is_our_answer_and_not_a_crash(server, dial, echo: Echo):
    channel = await dial(server, "ingest")

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary("/echo.v1.MeshEcho/One")(b"\xff\xff\xff")

    assert from_rpc_error(caught.value).code in ("INTERNAL", "INVALID_ARGUMENT")
    assert [] == echo.seen
