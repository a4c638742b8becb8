"""Calls of all four arities through a real server and real channels of the mesh."""

import pytest

from services.meshkit import errors
from services.meshkit.status import remote_errors
from tests.wire.meshkit.conftest import ARITIES, SERVER, Connect, Echo, call_as, pb, pb_grpc


@pytest.mark.parametrize("arity", ARITIES)
async def test_a_call_of_any_arity_is_answered(arity, server, connect: Connect):
    stub = pb_grpc.MeshEchoStub(await connect(server, "ingest"))

    answers = await call_as(getattr(stub, arity), arity, pb.EchoRequest(text="hello"))

    assert ["hello"] == [answer.text for answer in answers]


@pytest.mark.parametrize("arity", ARITIES)
async def test_a_failure_travels_with_its_reason_through_any_arity(arity, server, connect: Connect, echo: Echo):
    async def refuse(_request):
        raise errors.Conflict(metadata={"row": "7"})

    echo.behaviours["refuse"] = refuse
    stub = pb_grpc.MeshEchoStub(await connect(server, "ingest"))

    with pytest.raises(errors.Aborted) as caught, remote_errors(SERVER):
        await call_as(getattr(stub, arity), arity, pb.EchoRequest(text="refuse"))

    assert ("CONFLICT", {"row": "7"}) == (caught.value.reason, caught.value.metadata)
