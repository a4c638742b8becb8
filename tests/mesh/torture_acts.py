"""The acts of a torture: mails that are sent, answered and forwarded, and marks, each under its own idempotency key.

A caller that gets no answer repeats its call with the same key, as the contract says; some repeat an answered call, and
some use a key for other content. At the end each key must be one mail or one explained doubt, and no key two mails.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc

from mailmesh.processor.v1 import message_service_pb2 as messages
from mailmesh.processor.v1 import message_service_pb2_grpc as message_services
from mailmesh.processor.v1 import send_service_pb2 as sends
from mailmesh.processor.v1 import send_service_pb2_grpc as send_services
from stack.cli.exits import reason_of
from tests.mesh.torture_calendars import ENDPOINTS as CALENDAR_ENDPOINTS
from tests.mesh.verdict import Account
from tests.programs.mesh import Mesh, eventually

ACTS_PER_SECOND = 2.0
CALL_SECONDS = 5.0
ENDED_SECONDS = 180.0
ENVIRONMENT = {
    # In doubt, the mailbox is watched for minutes, and an account sends 30 mails in one; here it is faster.
    "MAILMESH_PROCESSOR_SEND_SETTLE_SECONDS": "15",
    "MAILMESH_PROCESSOR_SEND_COPY_SECONDS": "60",
    "MAILMESH_PROCESSOR_SENDS_PER_MINUTE": "600",
    "MAILMESH_PROCESSOR_RETRY_MAX_SECONDS": "15",
}
ENDPOINTS = (
    *("graph.messages.create", "graph.messages.create_reply", "graph.messages.create_forward"),
    *("graph.messages.update", "graph.messages.send"),
    *("gmail.drafts.create", "gmail.drafts.send", "gmail.messages.batch_modify", "graph.batch"),
    *CALENDAR_ENDPOINTS,
)
ANSWER_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "close"},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503, "retry_after": 1},
    {"kind": "status", "status": 200},
    {"kind": "truncate"},
    {"kind": "hang", "seconds": 3.0},
)
"""The provider does as it was asked, and its answer is lost or says otherwise: each once, in a second or so."""
FAULT_SECONDS = (0.3, 1.5)
HABITS: dict[str, tuple[Any, ...]] = {
    "graph_sent_ids": ("kept", "changed"),
    "graph_sent_copy_seconds": (0, 1, 4),
    "gmail_sent_draft_ids": ("kept", "changed"),
    "graph_message_ids": ("kept", "rewritten"),
}
"""Ways of the providers that no documentation promises; the first of each is the one at the end."""
_FINAL_SENDS = (sends.SEND_STATE_SENT, sends.SEND_STATE_UNCERTAIN, sends.SEND_STATE_FAILED)
_LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@dataclass
class Act:
    """One request and the ids under which it was answered.

    Attributes:
        account: The account that acts.
        request: The request with its key.
        ids: The ids of all answers: one, if it was taken once.
    """

    account: Account
    request: Any
    ids: set[str] = field(default_factory=set)

    @property
    def key(self) -> str:
        """The idempotency key, which is the end of the mail's subject as well."""
        key: str = self.request.idempotency_key
        return key

    @property
    def is_send(self) -> bool:
        """Whether it sends, rather than marks."""
        return isinstance(self.request, sends.SendRequest)


class Acts:
    """Acts at random, and keeps the requests.

    Args:
        mesh: The mesh.
        seed: Of the choice.
        accounts: The accounts that act.
        recipient: A simulated account outside of the mesh that gets all mails.
    """

    def __init__(self, mesh: Mesh, seed: int, accounts: list[Account], recipient: str) -> None:
        self.mesh = mesh
        # Kept, for the mesh that names its address is away at times; the simulator never is.
        self.simulator = mesh.simulator
        self.recipient = recipient
        self.all: list[Act] = []
        self.lost: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._accounts = accounts
        self._seed = seed
        self._chance = random.Random(f"acts:{seed}")

    def load(self, stop: threading.Event) -> None:
        """Act until the event."""
        while not stop.wait(self._chance.expovariate(ACTS_PER_SECOND)):
            act = self._new(self._chance.choice(self._accounts))
            self.all.append(act)
            self._ask(act)
            if self._chance.random() < 0.3:
                self._ask(self._chance.choice(self.all))
            if self._chance.random() < 0.1:
                self._ask_for_other(self._chance.choice(self.all))

    def torment(self, stop: threading.Event) -> None:
        """Lose answers about acts until the event."""
        chance = random.Random(f"answers:{self._seed}")
        while not stop.wait(chance.uniform(*FAULT_SECONDS)):
            fault = {**chance.choice(ANSWER_FAULTS), "endpoint": chance.choice(ENDPOINTS)}
            account = chance.choice(self._accounts).address
            self.simulator.fault(**fault, account=account, phase="after", count=1)

    def finish(self) -> None:
        """Repeat the calls that were never answered, and wait until each act has its outcome.

        Raises:
            AssertionError: An act does not end.
        """
        for act in self.all:
            eventually(lambda act=act: act.ids or self._ask(act), ENDED_SECONDS, what=f"{act.key} is taken")  # type: ignore[misc]
        for act in self.all:
            eventually(lambda act=act: self._is_ended(act), ENDED_SECONDS, what=f"{act.key} ends")  # type: ignore[misc]

    def sends(self) -> list[Act]:
        """Return the acts that send."""
        return [act for act in self.all if act.is_send]

    def marks(self) -> list[Act]:
        """Return the acts that mark."""
        return [act for act in self.all if not act.is_send]

    def outcome(self, act: Act) -> Any:
        """Read the present state of an act that was taken: a Send or a Modification."""
        (one,) = act.ids
        if act.is_send:
            return self._sender().GetSend(sends.GetSendRequest(send_id=one), timeout=CALL_SECONDS).send
        request = messages.GetModificationRequest(modification_id=one)
        return self._marker().GetModification(request, timeout=CALL_SECONDS).modification

    def _new(self, account: Account) -> Act:
        key = f"key-{len(self.all)}-of-the-torture"
        verb = self._chance.choices(("send", "reply", "forward", "mark"), (40, 25, 10, 25))[0]
        if verb == "mark" and account.mails:
            return Act(account, self._mark(account, key))
        fields: dict[str, Any] = {"idempotency_key": key, "tenant_id": account.tenant_id}
        to = [sends.Recipient(address=self.recipient)]
        if verb in ("reply", "forward"):
            mail = {"from": self.recipient, "to": [account.address], "subject": key, "text": "How much?"}
            original = self.simulator.deliver(account.address, **mail)["id"]
            if verb == "forward":
                return Act(account, sends.SendRequest(**fields, forward=sends.Forward(message_id=original, to=to)))
            return Act(account, sends.SendRequest(**fields, reply=sends.Reply(message_id=original, text="Thirty.")))
        new = sends.NewMail(to=to, subject=key, text="Thirty euros.")
        return Act(account, sends.SendRequest(**fields, mail=new))

    def _mark(self, account: Account, key: str) -> messages.ModifyMessagesRequest:
        ids = self._chance.sample(account.mails, min(len(account.mails), self._chance.randint(1, 3)))
        # A category is added to those that are there already, so that marks that overwrite each other are found.
        # A label of the key's own does the same at Google.
        if account.provider == "ms365":
            change = messages.MessageChange(add_categories=[key])
        else:
            label = self.simulator.call("POST", f"accounts/{account.address}/folders", name=key)["id"]
            change = messages.MessageChange(add_label_ids=[label])
        return messages.ModifyMessagesRequest(
            idempotency_key=key,
            tenant_id=account.tenant_id,
            message_ids=ids,
            change=change,
        )

    def _ask(self, act: Act) -> bool:
        """Call for an act; a call without an answer is repeated later, with the same key."""
        try:
            if act.is_send:
                act.ids.add(self._sender().Send(act.request, timeout=CALL_SECONDS).send.send_id)
            else:
                answer = self._marker().ModifyMessages(act.request, timeout=CALL_SECONDS)
                act.ids.add(answer.modification.modification_id)
        except FileNotFoundError:  # the mesh is not there
            self.lost["no mesh"] += 1
            return False
        except grpc.RpcError as error:
            self._note(act, error)
            return False
        return True

    def _ask_for_other(self, act: Act) -> None:
        """Use a taken key for other content: it is refused by name, and nothing happens."""
        other = type(act.request)()
        other.CopyFrom(act.request)
        if not act.ids or not act.is_send or not other.HasField("mail"):
            return
        other.mail.text = "Forty euros."
        try:
            self._sender().Send(other, timeout=CALL_SECONDS)
            self.wrong.append(f"{act.key} was taken for other content")
        except FileNotFoundError:  # the mesh is not there
            self.lost["no mesh"] += 1
        except grpc.RpcError as error:
            if error.code() in _LOST:
                self.lost[error.code().name] += 1
            else:
                self.wrong += reuse_faults(act.key, reason_of(error), str(error.details()))

    def _note(self, act: Act, error: Any) -> None:
        self.lost[error.code().name] += 1
        if error.code() not in _LOST:
            self.wrong.append(f"{act.key} was refused: {error.code().name} {error.details()}")

    def _is_ended(self, act: Act) -> bool:
        found = self.outcome(act)
        return found.state in (_FINAL_SENDS if act.is_send else (messages.MODIFICATION_STATE_FINISHED,))

    def _sender(self) -> Any:
        return send_services.SendServiceStub(self.mesh.channel)

    def _marker(self) -> Any:
        return message_services.MessageServiceStub(self.mesh.channel)


def reuse_faults(key: str, reason: str, detail: str) -> list[str]:
    """Judge the refusal of a key with other content: the contract names one reason for it."""
    return [] if reason == "IDEMPOTENCY_KEY_REUSED" else [f"{key} with other content: {reason} {detail}"]


def recorded(work: Callable[[], None], name: str, wrong: list[str]) -> Callable[[], None]:
    """Return the work of a thread that records the exception that ends it: the run would be milder unseen."""

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - each kind fails the run
            wrong.append(f"{name} ended: {type(error).__name__}: {error}")

    return run
