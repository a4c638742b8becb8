"""The time from an accepted webhook to the event on a consumer's gRPC stream."""

import asyncio
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Self

import grpc

from bench import measure
from bench.measure import Figure, Options, percentile
from mailmesh.processor.v1 import event_service_pb2 as events
from mailmesh.processor.v1 import event_service_pb2_grpc as event_services
from tests.mesh.accounts import connect, new_address, subscribe
from tests.programs.mesh import Mesh, running_mesh

PER_SECOND, SECONDS, MAILBOXES = 50, 30, 10
WARM_UP = 20
PATIENCE_SECONDS = 60.0


async def program(options: Options) -> Sequence[Figure]:
    """Run the whole mesh and measure each provider in turn."""
    return await asyncio.to_thread(_measured, options)


def _measured(options: Options) -> list[Figure]:
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="mm-bench-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        environment = {"MAILMESH_PROCESSOR_GMAIL_UNITS_PER_MINUTE": "1000000"}
        with running_mesh(Path(folder) / "mesh", environment=environment) as mesh:
            for provider in ("ms365", "googlews"):
                found += _of(mesh, provider, options)
    return found


def _of(mesh: Mesh, provider: str, options: Options) -> list[Figure]:
    addresses = [new_address(mesh, provider) for _ in range(1 if options.is_quick else MAILBOXES)]
    for address in addresses:
        subscribe(mesh, connect(mesh, provider, address))
    seconds, per_second = (1, 5) if options.is_quick else (SECONDS, PER_SECOND)
    wanted = seconds * per_second
    with Reader(mesh, provider) as reader:
        for number in range(0 if options.is_quick else WARM_UP):
            mesh.simulator.generate(addresses[number % len(addresses)], 1, seed=7)
        reader.wait_for(0 if options.is_quick else WARM_UP)
        reader.milliseconds.clear()
        mesh.simulator.call("POST", "load", accounts=addresses, perSecond=per_second, seconds=seconds, seed=8)
        reader.wait_for(int(wanted * 0.98))
        time.sleep(1)
        samples = list(reader.milliseconds)
    targets = ("", "") if options.is_quick else ("<= 100", "<= 500")
    return [
        Figure(f"{provider}: events at {per_second} a second", len(samples), "events", note=f"of about {wanted}"),
        Figure(f"{provider}: accepted to streamed, p50", percentile(samples, 50), "ms", targets[0]),
        Figure(f"{provider}: accepted to streamed, p99", percentile(samples, 99), "ms", targets[1]),
        Figure(f"{provider}: accepted to streamed, worst", max(samples), "ms"),
    ]


class Reader:
    """Reads the stream through the edge, like any consumer, and records the age of each event on arrival."""

    def __init__(self, mesh: Mesh, provider: str) -> None:
        self.milliseconds: list[float] = []
        chosen = events.EventFilter(providers=[provider], event_types=["mail.created"])
        request = events.StreamEventsRequest(cursor="latest", filter=chosen, heartbeat_seconds=1)
        self._call = event_services.EventServiceStub(mesh.channel).StreamEvents(request)
        self._has_begun = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._has_begun.wait(PATIENCE_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._call.cancel()
        self._thread.join(10)

    def wait_for(self, count: int) -> None:
        """Wait until so many events have arrived."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.milliseconds) < count:
            assert time.monotonic() < deadline, f"{len(self.milliseconds)} of {count} events"
            time.sleep(0.05)

    def _read(self) -> None:
        try:
            for step in self._call:
                self._has_begun.set()
                if step.WhichOneof("step") == "event":
                    accepted = step.event.mail.received_at.ToDatetime(UTC).timestamp()
                    self.milliseconds.append((time.time() - accepted) * 1000)
        except grpc.RpcError as exc:
            if exc.code() is not grpc.StatusCode.CANCELLED:
                raise


if __name__ == "__main__":
    measure.main(
        "end_to_end_latency",
        "How long does a change take from the accepted webhook to the event on a consumer's gRPC stream, at fifty"
        " a second?",
        "The whole mesh runs on one machine with the simulated providers, which answer at once. Mail is delivered"
        " at a steady rate to ten mailboxes. A consumer reads StreamEvents through the edge. The age of an event"
        " is the time of its arrival minus `received_at`, both by the same clock. A Gmail event waits for its"
        " mailbox's push.",
        program,
    )
