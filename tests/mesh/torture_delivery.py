"""Webhooks in a torture: two receivers that stall, reset, answer slowly, refuse, are gone and come back.

Each event of the stream must reach each receiver at least once, in order per message: after an event of a message no
earlier one of it arrives any more. A receiver that takes an event and loses its answer gets that event again.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from typing_extensions import override

from mailmesh.delivery.v1 import endpoint_service_pb2 as endpoints
from mailmesh.delivery.v1 import endpoint_service_pb2_grpc as endpoint_services
from mailmesh.processor.v1 import event_service_pb2 as events
from mailmesh.processor.v1 import event_service_pb2_grpc as event_services
from services.delivery.signature import WebhookRefused
from tests.mesh.delivery.receiver import OK, RESET, Answer, Receiver, Webhook, verified
from tests.programs.mesh import Mesh, eventually

ENVIRONMENT = {
    "MAILMESH_DELIVERY_ALLOWED_NETWORKS": "127.0.0.0/8",
    "MAILMESH_DELIVERY_LEASE_SECONDS": "5",
    # Hours in a torture are seconds: enough attempts for the longest outage, and none is exhausted.
    "MAILMESH_DELIVERY_RETRY_SECONDS": ",".join(["1"] * 500),
    "MAILMESH_DELIVERY_FAILING_PAUSE_SECONDS": "2",
}
KINDS = ("mail.*", "send.*", "tenant.*", "calendar.*")
TIMEOUT_SECONDS = 1
CALL_SECONDS = 5.0
ARRIVED_SECONDS = 180.0
HABIT_SECONDS = (0.3, 1.5)
HABITS = ("well", "slow", "late", "stall", "reset", "lost", "refuse", "busy", "gone", "away")
"""Ways of a receiver. One that is "late" or "lost" has taken the webhook, and the answer comes too late or never."""
HABIT_SHARE = 0.7
"""The share of webhooks that are answered by the habit; the others are answered well."""
_TAKEN = ("well", "slow", "late", "lost")


@dataclass
class DifficultReceiver(Receiver):
    """A receiver with a habit.

    Attributes:
        habit: The present one of `HABITS`.
        taken: The ids of the events that it took, in the order of their arrival.
        answered: The number of webhooks by habit.
        wrong: Sentences about webhooks that no receiver should get.
        key: Verifies the signatures.
        chance: Decides which webhooks are answered by the habit.
    """

    habit: str = "well"
    taken: list[str] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    key: str = ""
    chance: random.Random = field(default_factory=random.Random)

    @override
    def take(self, headers: dict[str, str], body: bytes) -> Answer:
        """Check the signature, and answer by the habit."""
        if not self.key:  # The first one may arrive before the answer about the endpoint.
            return 503, {}
        webhook_id = headers["webhook-id"]
        habit = self.habit if self.chance.random() < HABIT_SHARE else "well"
        self.answered[habit] += 1
        webhook = Webhook(webhook_id, headers, body, OK[0])
        try:
            is_ours = verified(webhook, self.key) and webhook.content["data"]["eventId"] == webhook_id
        except WebhookRefused as refused:
            is_ours = False
            self.wrong.append(f"the webhook {webhook_id}: {refused}")
        if not is_ours:
            self.wrong.append(f"the webhook {webhook_id} has another body or signature")
        if habit in _TAKEN:
            self.taken.append(webhook_id)
        if habit in ("slow", "late", "stall"):
            time.sleep(self.chance.uniform(0.2, 0.6) if habit == "slow" else TIMEOUT_SECONDS * 1.5)
        answers: dict[str, Answer] = {
            "refuse": (500, {}), "busy": (503, {"retry-after": "1"}), "gone": (410, {}),
            "stall": RESET, "reset": RESET, "lost": RESET,
        }  # fmt: skip
        return answers.get(habit, OK)


class Deliveries:
    """Endpoints of a torture, and their receivers.

    Args:
        mesh: The mesh.
        seed: Of the habits.
    """

    def __init__(self, mesh: Mesh, seed: int) -> None:
        self.mesh = mesh
        self.receivers: dict[str, DifficultReceiver] = {}
        self._seed = seed

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Create the endpoints, and receive during the block."""
        signatures = (endpoints.ENDPOINT_SIGNATURE_V1, endpoints.ENDPOINT_SIGNATURE_V1A)
        views = (endpoints.ENDPOINT_VIEW_THIN, endpoints.ENDPOINT_VIEW_FULL)
        try:
            for number, (signature, view) in enumerate(zip(signatures, views, strict=True)):
                receiver = DifficultReceiver(chance=random.Random(f"receiver {number}:{self._seed}"))
                receiver.begin()
                request = endpoints.CreateEndpointRequest(
                    url=receiver.url,
                    signature=signature,
                    view=view,
                    cursor="earliest",
                    filter=endpoints.EndpointFilter(event_types=KINDS),
                    timeout=Duration(seconds=TIMEOUT_SECONDS),
                )
                made = self._stub().CreateEndpoint(request)
                receiver.key = made.signing_key
                self.receivers[made.endpoint.endpoint_id] = receiver
            yield
        finally:
            for receiver in self.receivers.values():
                receiver.end()

    def torment(self, stop: threading.Event) -> None:
        """Change the habits, pause and resume until the event."""
        chance = random.Random(f"receivers:{self._seed}")
        while not stop.wait(chance.uniform(*HABIT_SECONDS)):
            endpoint_id, receiver = chance.choice(list(self.receivers.items()))
            verb = chance.choices(("habit", "pause", "resume"), (8, 1, 3))[0]
            if verb == "habit":
                _turn(receiver, chance.choice(HABITS))
            else:
                self._ask(verb, endpoint_id)

    def finish(self) -> None:
        """Let the receivers be well and the endpoints deliver, and wait until every event has arrived.

        Raises:
            AssertionError: An event does not arrive.
        """
        for endpoint_id, receiver in self.receivers.items():
            _turn(receiver, "well")
            eventually(partial(self._ask, "resume", endpoint_id), ARRIVED_SECONDS, what="the endpoint is resumed")
        for receiver in self.receivers.values():
            eventually(lambda one=receiver: not self._missing(one), ARRIVED_SECONDS, what="all webhooks arrive")  # type: ignore[misc]

    def faults(self) -> list[str]:
        """Compare the webhooks with the stream. Returns sentences about what does not agree, none when all is well."""
        places = places_of(self._events())
        found = []
        for receiver in self.receivers.values():
            found += [*receiver.wrong, *webhook_faults(receiver.taken, places)]
        return found

    def figures(self) -> dict[str, int]:
        """Count the webhooks by habit, and those that arrived more than once."""
        counted = sum((receiver.answered for receiver in self.receivers.values()), Counter[str]())
        again = sum(len(receiver.taken) - len({*receiver.taken}) for receiver in self.receivers.values())
        return {"events": len(self._events()), "taken again": again, **counted}

    def _missing(self, receiver: DifficultReceiver) -> set[str]:
        return {one for one, _ in self._events()} - {*receiver.taken}

    def _events(self) -> list[tuple[str, str]]:
        """Read the ids of all events that the endpoints get with what their order holds for, in order."""
        stub = event_services.EventServiceStub(self.mesh.channel)
        chosen = events.EventFilter(event_types=KINDS)
        request, found = events.ListEventsRequest(page_size=1000, cursor="earliest", filter=chosen), []
        while True:
            page = stub.ListEvents(request, timeout=CALL_SECONDS)
            found += [_identity(event) for event in page.events]
            request.cursor = page.next_cursor
            if not page.has_more:
                return found

    def _ask(self, verb: str, endpoint_id: str) -> bool:
        """Pause or resume; return whether there was an answer."""
        pause, resume = endpoints.PauseEndpointRequest, endpoints.ResumeEndpointRequest
        try:
            stub = self._stub()
            call, request = (stub.PauseEndpoint, pause) if verb == "pause" else (stub.ResumeEndpoint, resume)
            call(request(endpoint_id=endpoint_id), timeout=CALL_SECONDS)
        except FileNotFoundError:  # the mesh is not there
            return False
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise
            return False
        return True

    def _stub(self) -> Any:
        return endpoint_services.EndpointServiceStub(self.mesh.channel)


def places_of(stream: Sequence[tuple[str, str]]) -> dict[str, tuple[str, int]]:
    """Return for each event what its order holds for, and its place in the stream."""
    return {event_id: (key, place) for place, (event_id, key) in enumerate(stream)}


def webhook_faults(taken: Sequence[str], places: Mapping[str, tuple[str, int]]) -> list[str]:
    """Judge the events that a receiver took: each of the stream, and after one of a message no earlier one of it.

    Args:
        taken: The ids in the order of their arrival.
        places: The key of the order and the place in the stream, by event.
    """
    found = [f"the event {one} never arrived" for one in places.keys() - {*taken}]
    newest: dict[str, int] = {}
    for one in taken:
        if one not in places:
            found.append(f"the event {one} is not in the stream")
            continue
        key, place = places[one]
        if place < newest.get(key, -1):
            found.append(f"the event {one} arrived behind a later one of {key}")
        newest[key] = max(place, newest.get(key, -1))
    return found


def _identity(event: Any) -> tuple[str, str]:
    content = getattr(event, event.WhichOneof("kind"))
    names = ("message_id", "send_id", "calendar_event_id")
    one = next((found for name in names if (found := getattr(content, name, ""))), "")
    if not one and event.WhichOneof("kind") == "calendar_event":
        one = content.calendar.calendar_id
    return content.event_id, f"{event.WhichOneof('kind')} {content.tenant_id} {one}"


def _turn(receiver: DifficultReceiver, habit: str) -> None:
    """Give a receiver a habit; one that is away does not listen."""
    if receiver.habit == "away" and habit != "away":
        receiver.begin()
    if receiver.habit != "away" and habit == "away":
        receiver.end()
    receiver.habit = habit
