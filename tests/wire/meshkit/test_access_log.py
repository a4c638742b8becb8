"""The log has one line for each call, without its content."""

import asyncio
import json

import pytest

from services.meshkit import errors
from tests.wire.meshkit.conftest import Connect, Echo, pb, pb_grpc

CANARY = "canary-7f3a"
REQUEST_ID = "019a9f0e-7c1e-7000-8000-000000000007"


async def test_each_call_writes_one_line_without_its_content(server, connect: Connect, log_lines):
    stub = pb_grpc.KeyEchoStub(await connect(server, "envoy"))
    headers = (
        ("x-mailmesh-key-id", "key-1"),
        ("x-mailmesh-role", "reader"),
        ("x-mailmesh-tenants", "*"),
        ("x-request-id", REQUEST_ID),
        ("authorization", f"Bearer {CANARY}"),
    )
    await stub.Read(pb.EchoRequest(text=CANARY), metadata=headers)
    with pytest.raises(errors.PermissionDenied):
        await stub.Manage(pb.EchoRequest(text=CANARY), metadata=headers)

    async with asyncio.timeout(60):
        # A line is written when the answer is on its way.
        while len(lines := [line for line in log_lines() if line["event"] == "call"]) < 2:
            await asyncio.sleep(0.01)

    assert [
        ("/echo.v1.KeyEcho/Read", "envoy", "key-1", "OK", REQUEST_ID),
        ("/echo.v1.KeyEcho/Manage", "envoy", "key-1", "PERMISSION_DENIED", REQUEST_ID),
    ] == [(line["method"], line["caller"], line["key_id"], line["grpc_code"], line["correlation_id"]) for line in lines]
    assert all(line["milliseconds"] >= 0 for line in lines)
    assert CANARY not in json.dumps(lines)


async def test_an_unforeseen_exception_is_found_in_the_log_by_its_id(server, connect: Connect, echo: Echo, log_lines):
    async def fail(_request):
        raise ZeroDivisionError("the cause")

    echo.behaviours["fail"] = fail
    with pytest.raises(errors.Internal) as caught:
        await pb_grpc.MeshEchoStub(await connect(server, "ingest")).One(pb.EchoRequest(text="fail"))

    found = [line for line in log_lines() if line.get("error_id") == caught.value.metadata["error_id"]]

    assert 1 == len(found)
    assert "ZeroDivisionError: the cause" in found[0]["exception"]
