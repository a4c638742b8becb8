"""The end of the demo: a question is answered while the worker that answers is killed, and the answer arrives once."""

import os
import signal
from collections.abc import Sequence

import grpc

from mailmesh.processor.v1 import event_pb2, send_service_pb2, send_service_pb2_grpc
from stack.errors import StackError
from stack.programs.running import wait_until
from stack.ready import Ready
from stack.report import Report
from stack.simulated import SimulatorControl

AUTHOR = "erik@contoso.test"
SUBJECT = "How much is a pallet?"
WORKER = "worker-1"
ARRIVAL_SECONDS = 60.0
CALL_SECONDS = 30.0
# The provider takes the mail and answers only after this time, so that the worker dies in between.
HANG_SECONDS = 3
_NOT_THERE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class AnswerError(StackError):
    """The answer was lost, or arrived twice."""


def ask(control: SimulatorControl, address: str) -> str:
    """Delivers the question of a simulated author to an account, and returns the mail's id."""
    control.add_account("ms365", AUTHOR)
    fields = {"from": AUTHOR, "to": [address], "subject": SUBJECT, "text": "And when could it be here?"}
    question: str = control.deliver(address, **fields)["id"]
    return question


def prove_answer(
    channel: grpc.Channel, ready: Ready, control: SimulatorControl, report: Report, created: Sequence[event_pb2.Event]
) -> None:
    """Answers the question, kills the worker once the provider has the answer, and counts what the author got.

    Raises:
        AnswerError: The answer did not arrive, arrived more than once, or its send has another outcome.
    """
    mail = next(event.mail for event in created if event.mail.message.subject == SUBJECT)
    control.fault(kind="hang", endpoint="graph.messages.send", phase="after", seconds=HANG_SECONDS, count=1)
    stub = send_service_pb2_grpc.SendServiceStub(channel)
    request = send_service_pb2.SendRequest(
        idempotency_key=f"answer-to-{mail.event_id}",
        tenant_id=mail.tenant_id,
        reply=send_service_pb2.Reply(message_id=mail.message_id, text="Thirty euros, on Monday."),
    )
    with report.step(f"Answering {AUTHOR}", f"the answer to {AUTHOR} is sent"):
        send_id = stub.Send(request, timeout=CALL_SECONDS).send.send_id
        wait_until(lambda: _arrived(control) > 0, ARRIVAL_SECONDS)
        # The worker that the first outage killed has another process id since.
        os.kill(Ready.read(ready.admin_key_file.with_name("ready.json")).processes[WORKER], signal.SIGKILL)
        report.warn(f"outage: {WORKER} was killed before it read the provider's answer to the submission")
        wait_until(lambda: _is_ended(stub, send_id), ARRIVAL_SECONDS)
    send = stub.GetSend(send_service_pb2.GetSendRequest(send_id=send_id), timeout=CALL_SECONDS).send
    count = _arrived(control)
    if send.state != send_service_pb2.SEND_STATE_SENT or count != 1:
        name = send_service_pb2.SendState.Name(send.state)
        raise AnswerError(f"the answer arrived {count} times, and its send is {name}: {send.detail}")
    report.note(f"send: the answer reached {AUTHOR} once, and its send is sent")


def _arrived(control: SimulatorControl) -> int:
    return len(control.truth(AUTHOR)["messages"])


def _is_ended(stub: send_service_pb2_grpc.SendServiceStub, send_id: str) -> bool:
    request = send_service_pb2.GetSendRequest(send_id=send_id)
    try:
        return bool(stub.GetSend(request, timeout=CALL_SECONDS).send.HasField("finished_at"))
    except grpc.RpcError as fault:
        if fault.code() not in _NOT_THERE:
            raise
        return False
