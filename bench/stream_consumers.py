"""The cost of many consumers of one mailbox, for each of them and each event, beside one consumer alone."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

import grpc

from bench import measure
from bench.measure import Figure, Options, median, percentile
from bench.mesh_counts import Counts, Span, counts_of
from mailmesh.access.v1 import access_pb2
from mailmesh.processor.v1 import event_service_pb2 as events
from mailmesh.vault.v1 import api_key_service_pb2 as keys
from mailmesh.vault.v1 import api_key_service_pb2_grpc as key_services
from stack.cli.connection import CHANNEL_OPTIONS
from tests.mesh.accounts import connect, new_address, subscribe
from tests.programs.mesh import Mesh, running_mesh

QUESTION = "What does a consumer of a stream cost, alone and beside a thousand others of the same mailbox?"
METHOD = """The whole mesh with a simulated provider, and consumers that read StreamEvents of one mailbox through the
edge, {of_key} with a key. All consumers are one Python process on the same machine; they parse each hundredth event and
count the rest. Mail arrives at a steady rate, which falls with the number of consumers, because one Python process can
take in only so many events. CPU is the processes' own counter beyond the same mesh with the same streams and no mail.
The read of an event, once for all streams, is in the figure of one consumer and divided among many. The age of
an event is the time of its arrival minus `received_at`."""

CONSUMERS = (1, 100, 1000)
DELIVERED_PER_SECOND = 1500
"""Events that all consumers get in a second."""
MOST_PER_SECOND = 50
SECONDS, REST_SECONDS = 20, 10.0
QUICK_SECONDS, QUICK_REST_SECONDS = 2, 1.0
OF_KEY, OF_CHANNEL = 500, 100
PARSED = 100
PATIENCE_SECONDS = 120.0
_STREAM = "/mailmesh.processor.v1.EventService/StreamEvents"
_KINDS = {"processor": "Processor's server", "envoy": "Envoy"}


@dataclass
class Consumers:
    """The streams of the program's own process.

    Attributes:
        begun: Streams that have got their first answer.
        received: Events over all streams.
        milliseconds: The ages of the parsed events.
    """

    begun: int = 0
    received: int = 0
    milliseconds: list[float] = field(default_factory=list)

    async def read(self, channel: grpc.aio.Channel, key: str, request: bytes) -> None:
        """Read one stream until cancelled."""
        open_stream: Any = channel.unary_stream(_STREAM)
        call = open_stream(request, metadata=(("authorization", f"Bearer {key}"),))
        is_begun = False
        async for step in call:
            if not is_begun:
                is_begun, self.begun = True, self.begun + 1
            # A heartbeat is shorter than any event.
            if len(step) > 256:  # noqa: PLR2004
                self.received += 1
                if self.received % PARSED == 0:
                    event = events.StreamEventsResponse.FromString(step).event
                    accepted = event.mail.received_at.ToDatetime(UTC).timestamp()
                    self.milliseconds.append((time.time() - accepted) * 1000)


async def program(options: Options) -> Sequence[Figure]:
    """Run the mesh, and measure each number of consumers."""
    found: list[Figure] = []
    costs: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="mm-bench-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        with running_mesh(Path(folder) / "mesh") as mesh:
            address = new_address(mesh, "ms365")
            tenant = await asyncio.to_thread(connect, mesh, "ms365", address)
            await asyncio.to_thread(subscribe, mesh, tenant)
            times = (QUICK_SECONDS, QUICK_REST_SECONDS) if options.is_quick else (SECONDS, REST_SECONDS)
            for count in (1, 20) if options.is_quick else CONSUMERS:
                costs[count], figures = await _measured(mesh, address, count, *times)
                found += figures
    first, *others = costs
    return [
        *found,
        *(
            Figure(f"CPU of a consumer and event, {count:,} consumers to one", costs[count] / costs[first], "ratio",
                   "<= 0.2" if count == CONSUMERS[-1] else "")
            for count in others
        ),
    ]  # fmt: skip


async def _measured(
    mesh: Mesh, address: str, count: int, seconds: int, rest_seconds: float
) -> tuple[float, list[Figure]]:
    """Return the CPU of a consumer and event in µs, and the figures of a number of consumers."""
    per_second = max(1, min(MOST_PER_SECOND, DELIVERED_PER_SECOND // count))
    async with _consumers(mesh, count) as consumers:
        await _begin(mesh, address, consumers, count)
        begun = await _counts(mesh)
        await asyncio.sleep(rest_seconds)
        rest = Span(begun, await _counts(mesh))
        consumers.milliseconds.clear()
        before = consumers.received
        await asyncio.to_thread(
            mesh.simulator.call, "POST", "load", accounts=[address], perSecond=per_second, seconds=seconds, seed=8
        )
        await _until(lambda: consumers.received >= before + count * per_second * seconds)
        load = Span(rest.after, await _counts(mesh))
        received = consumers.received - before
        spent = {kind: _spent(load, rest, kind) / received * 1e6 for kind in _KINDS}
    name = f"{count:,} consumers, {per_second} events a second"
    return sum(spent.values()), [
        *(
            Figure(f"{name}: CPU of {_KINDS[kind]}", value, "us", note="a consumer and event")
            for kind, value in spent.items()
        ),
        Figure(f"{name}: accepted to streamed, p50", median(consumers.milliseconds), "ms"),
        Figure(f"{name}: accepted to streamed, p99", percentile(consumers.milliseconds, 99), "ms"),
    ]  # fmt: skip


def _spent(load: Span, rest: Span, kind: str) -> float:
    return load.processor_seconds(kind) - rest.processor_seconds(kind) * load.seconds / rest.seconds


@asynccontextmanager
async def _consumers(mesh: Mesh, count: int) -> AsyncIterator[Consumers]:
    """Open streams, and close them after the block."""
    consumers, made = Consumers(), [_new_key(mesh) for _ in range((count - 1) // OF_KEY + 1)]
    chosen = events.EventFilter(event_types=["mail.created"])
    request = events.StreamEventsRequest(cursor="latest", filter=chosen, heartbeat_seconds=60).SerializeToString()
    async with AsyncExitStack() as stack:
        reading = []
        channels = []
        for _ in range((count - 1) // OF_CHANNEL + 1):
            own = [*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
            channels.append(await stack.enter_async_context(grpc.aio.insecure_channel(mesh.ready.grpc, own)))
        for number in range(count):
            read = consumers.read(channels[number // OF_CHANNEL], made[number // OF_KEY], request)
            reading.append(asyncio.create_task(read))
        try:
            yield consumers
            ended = [task for task in reading if task.done()]
            assert not ended, f"{len(ended)} streams ended: {ended[0].exception()}"
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)


def _new_key(mesh: Mesh) -> str:
    request = keys.CreateApiKeyRequest(display_name="bench", role=access_pb2.ROLE_READER, abilities=["mail.read"])
    return str(key_services.ApiKeyServiceStub(mesh.channel).CreateApiKey(request).secret)


async def _begin(mesh: Mesh, address: str, consumers: Consumers, count: int) -> None:
    """Deliver mails until each stream has got one: a stream that has begun is silent until its first event."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while consumers.begun < count:
            await asyncio.to_thread(mesh.simulator.generate, address, 1)
            await asyncio.sleep(1)
    await asyncio.sleep(1)


async def _counts(mesh: Mesh) -> Counts:
    return await asyncio.to_thread(counts_of, mesh)


async def _until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_true():
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    measure.main("stream_consumers", QUESTION, METHOD.format(of_key=OF_KEY), program)
