"""A workflow of mailmesh: triage the mails of a mailbox, and draft answers for a person.

    MAILMESH_WORKFLOWS_GRAPHS=triage=triage:graph
    MAILMESH_WORKFLOWS_STARTS=triage=mail.created

Each mail is read, classified by its new text, marked with its label, and answered by a draft. Then the run waits:
`mailmesh workflows list --state waiting` shows it, and an answer such as {"text": "We will call you."} sends that text;
{"text": ""} sends nothing.

The state holds ids and a label. Each step reads what it needs by its id, so that no checkpoint contains a mail. Each
action has a key of the run, so that a step that is repeated after a crash acts once.

It needs LangGraph (the extra `workflows` of mailmesh), and an API key of the role operator with the abilities
mail.read, mail.mark and mail.send.
"""

from typing import Any, TypedDict

from google.protobuf import struct_pb2
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from mailmesh.mail.v1 import event_pb2 as mail_event_pb2
from mailmesh.mail.v1 import message_pb2
from mailmesh.primitives.v1 import primitive_service_pb2 as primitives
from mailmesh.primitives.v1.primitive_service_pb2_grpc import PrimitiveServiceAsyncStub, PrimitiveServiceStub
from mailmesh.processor.v1 import event_pb2, event_service_pb2, message_service_pb2, send_service_pb2
from mailmesh.processor.v1.event_service_pb2_grpc import EventServiceAsyncStub, EventServiceStub
from mailmesh.processor.v1.message_service_pb2_grpc import MessageServiceAsyncStub, MessageServiceStub
from mailmesh.processor.v1.send_service_pb2_grpc import SendServiceAsyncStub, SendServiceStub
from services.workflows.engine.context import Mesh

LABELS = {
    "order": ("Where is my parcel?", "My order has not arrived yet.", "Wann kommt meine Lieferung?"),
    "invoice": ("The invoice has a wrong amount.", "Please send the receipt again.", "Die Rechnung ist falsch."),
    "appointment": ("Can we meet on Tuesday?", "I have to move our appointment.", "Passt Ihnen Montag um zehn?"),
}
MOST_CHARACTERS = 20_000


class State(TypedDict, total=False):
    """The state of a run: ids, and a label of ours.

    `run_id`, `tenant_id` and `event_id` are given by mailmesh.
    """

    run_id: str
    tenant_id: str
    event_id: str
    message_id: str
    label: str
    modification_id: str
    draft_id: str
    send_id: str


async def read(_: State, runtime: Runtime[Mesh]) -> State:
    """Find the mail of the event; mails of machines are left alone."""
    mail = await _mail(runtime.context)
    if mail.message.automation != message_pb2.AUTOMATION_KIND_UNSPECIFIED:
        return {"message_id": ""}
    return {"message_id": mail.message_id}


async def classify(_: State, runtime: Runtime[Mesh]) -> State:
    """Choose a label by the new text of the mail, without the mails that it quotes."""
    message = (await _mail(runtime.context)).message
    stub: PrimitiveServiceAsyncStub = PrimitiveServiceStub(runtime.context.channel)
    request = primitives.ClassifyMessageRequest(
        subject=message.subject[:1000],
        text=_text(message),
        labels=[primitives.ClassifyLabel(name=name, examples=examples) for name, examples in LABELS.items()],
    )
    return {"label": (await stub.ClassifyMessage(request)).label}


async def mark(state: State, runtime: Runtime[Mesh]) -> State:
    """Flag the mail, for the people who work in the mailbox."""
    stub: MessageServiceAsyncStub = MessageServiceStub(runtime.context.channel)
    request = message_service_pb2.ModifyMessagesRequest(
        idempotency_key=runtime.context.key("mark"),
        tenant_id=state["tenant_id"],
        message_ids=[state["message_id"]],
        change=message_service_pb2.MessageChange(is_flagged=True),
    )
    return {"modification_id": (await stub.ModifyMessages(request)).modification.modification_id}


async def draft(state: State, runtime: Runtime[Mesh]) -> State:
    """Keep a draft of the answer in the mailbox; it names the customer's order if the mail does."""
    message = (await _mail(runtime.context)).message
    stub: PrimitiveServiceAsyncStub = PrimitiveServiceStub(runtime.context.channel)
    schema = struct_pb2.Struct()
    schema.update({"type": "object", "properties": {"order": {"type": "string", "format": "identifier"}}})
    found = await stub.ExtractFields(primitives.ExtractFieldsRequest(text=_text(message), schema=schema))
    # Text of a stranger: it goes into a draft that a person reads, and chooses no recipient.
    orders = [value.source for field in found.fields for value in field.values]
    about = f"your order {orders[0]}" if orders else f"your {state['label']}"
    return {
        "draft_id": await _reply(state, runtime.context, "draft", f"Thank you. We look into {about}.", is_draft=True)
    }


async def ask(state: State, runtime: Runtime[Mesh]) -> State:
    """Ask a person for the text of the answer, and send it. A question needs a step of its own, before its action."""
    answer = interrupt({"label": state["label"], "messageId": state["message_id"], "draft": state["draft_id"]})
    text = answer.get("text", "") if isinstance(answer, dict) else ""
    if not isinstance(text, str) or not text:
        return {"send_id": ""}
    return {"send_id": await _reply(state, runtime.context, "answer", text)}


def _is_human(state: State) -> str:
    return "classify" if state["message_id"] else END


async def _mail(mesh: Mesh) -> mail_event_pb2.NormalizedMailEvent:
    stub: EventServiceAsyncStub = EventServiceStub(mesh.channel)
    request = event_service_pb2.GetEventRequest(event_id=mesh.event_id, view=event_pb2.EVENT_VIEW_BODY)
    return (await stub.GetEvent(request)).event.mail


def _text(message: message_pb2.MailMessage) -> str:
    return (message.body.reply_text or message.subject or "-")[:MOST_CHARACTERS]


async def _reply(state: State, mesh: Mesh, action: str, text: str, *, is_draft: bool = False) -> str:
    stub: SendServiceAsyncStub = SendServiceStub(mesh.channel)
    request = send_service_pb2.SendRequest(
        idempotency_key=mesh.key(action),
        tenant_id=state["tenant_id"],
        reply=send_service_pb2.Reply(message_id=state["message_id"], text=text),
        is_draft_only=is_draft,
    )
    return (await stub.Send(request)).send.send_id


STEPS = {"read": read, "classify": classify, "mark": mark, "draft": draft, "ask": ask}


def build(steps: dict[str, Any]) -> "StateGraph[State, Mesh, State, State]":
    """Return the graph of these steps."""
    made = StateGraph(State, context_schema=Mesh)
    for name, step in steps.items():
        made.add_node(name, step)
    made.add_edge(START, "read")
    made.add_conditional_edges("read", _is_human, ["classify", END])
    for one, following in (("classify", "mark"), ("mark", "draft"), ("draft", "ask"), ("ask", END)):
        made.add_edge(one, following)
    return made


graph = build(STEPS)
