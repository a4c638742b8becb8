"""The end of a torture: the mesh works everything that is left, and nothing stays stuck."""

from contextlib import suppress
from functools import partial
from typing import Any

import grpc

from mailmesh.ingest.v1 import dead_letter_service_pb2, dead_letter_service_pb2_grpc
from mailmesh.processor.v1 import processor_service_pb2, processor_service_pb2_grpc
from tests.mesh.verdict import Account
from tests.programs.mesh import Mesh, eventually

SETTLE_SECONDS = 180.0


def settle(mesh: Mesh, accounts: list[Account]) -> dict[str, Any]:
    """Waits until everything is processed: compares each mailbox once, and asks until nothing is open.

    Raises:
        AssertionError: Something stays stuck.
    """
    assert mesh.simulator.wait_until_idle(60.0)
    processor = processor_service_pb2_grpc.ProcessorServiceStub(mesh.channel)
    for account in accounts:
        request = processor_service_pb2.ReconcileMailboxRequest(tenant_id=account.tenant_id)
        # The process that was killed last may not be back yet.
        eventually(partial(processor.ReconcileMailbox, request, timeout=60), SETTLE_SECONDS, what="it is compared")
    found = eventually(lambda: _worked(processor), SETTLE_SECONDS, what="everything is worked")
    letters = dead_letter_service_pb2_grpc.DeadLetterServiceStub(mesh.channel)
    dead = letters.ListDeadLetters(dead_letter_service_pb2.ListDeadLettersRequest())
    assert not dead.dead_letters, f"dead letters: {dead}"
    return {"workers": len(found.workers)}


def _worked(processor: Any) -> Any:
    with suppress(grpc.RpcError):
        status = processor.GetPipelineStatus(processor_service_pb2.GetPipelineStatusRequest(), timeout=10)
        if not status.unavailable and status.inbox_pending == 0 and status.unenriched_pending == 0:
            return status
    return None
