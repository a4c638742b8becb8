"""The consumer of a torture: it reads the stream over a bad line, and notes each event that it has seen."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from mailmesh.processor.v1 import event_pb2, event_service_pb2, event_service_pb2_grpc
from tests.programs.mesh import Mesh

_CUT_OFF_SECONDS = 0.2


class Consumer:
    """Reads the stream while a mesh is tortured.

    Args:
        mesh: The mesh that is tortured.
        seed: Of everything random.
    """

    def __init__(self, mesh: Mesh, seed: int) -> None:
        self.seen: list[event_pb2.Event] = []
        self.cut_off: Counter[str] = Counter()
        self._mesh = mesh
        self._seed = seed
        self._over = threading.Event()

    @contextmanager
    def consuming(self) -> Iterator[None]:
        """Reads the stream beside the block."""
        consumer = threading.Thread(target=self._consume, daemon=True)
        consumer.start()
        try:
            yield
        finally:
            self._over.set()
            consumer.join(30.0)

    def _consume(self) -> None:
        """Reads the stream like a consumer with a bad line: cut off at random, it goes on from its last position."""
        chance = random.Random(f"consume:{self._seed}")
        cursor = "earliest"
        while not self._over.is_set():
            request = event_service_pb2.StreamEventsRequest(cursor=cursor, heartbeat_seconds=1)
            stub = event_service_pb2_grpc.EventServiceStub(self._mesh.channel)
            stream = stub.StreamEvents(request, timeout=chance.uniform(2.0, 10.0))
            try:
                for answer in stream:
                    if answer.HasField("event"):
                        self.seen.append(answer.event)
                        cursor = answer.event.position
                    else:
                        cursor = answer.heartbeat.position
                    if self._over.is_set():
                        break
            except grpc.RpcError as exc:
                self.cut_off[f"{exc.code().name}: {exc.details()}"] += 1
                # Without a pause it would use up the edge's rate for the key that the callers have as well.
                self._over.wait(_CUT_OFF_SECONDS)
