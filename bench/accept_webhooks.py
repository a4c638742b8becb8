"""The number of notifications a second that are on disk before their answer, and the behaviour under a higher load."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from bench import measure
from bench.ingest_machine import Machine, machine
from bench.load import Outcome
from bench.measure import Figure, Options, median, percentile, processor_seconds

SIZES = (1, 20)
TARGETS = {1: ">= 1.5", 20: ">= 4"}
SECONDS, WARM_SECONDS = 5.0, 2.0
OVERLOAD, OVERLOAD_CONNECTIONS = 3.0, 1500
SAMPLE_SECONDS = 0.1


@dataclass
class Memory:
    """The memory that a process used, MiB."""

    samples: list[float] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """Return the difference from the first sample to the largest."""
        return max(self.samples) - self.samples[0]


async def program(options: Options) -> Sequence[Figure]:
    """Measure both designs in turn, then Ingest behind the edge at half and at three times its maximum rate."""
    seconds = 0.3 if options.is_quick else SECONDS
    targets = {} if options.is_quick else TARGETS
    async with machine() as made:
        figures, most = [], 0.0
        for size in SIZES:
            (ours, spent), (plain, plain_spent) = await _in_turn(made, size, seconds, options.repeats)
            figures += [
                Figure(f"accepted a second, {size} in a POST", ours, "1/s", note="behind the edge"),
                Figure(f"the same by the plain design, {size} in a POST", plain, "1/s", note="without an edge"),
                Figure(f"times the plain design, {size} in a POST", ours / plain, "ratio", targets.get(size, "")),
                Figure(
                    f"CPU of a notification, {size} in a POST", spent, "us", note="Envoy, Ingest, PostgreSQL, Redis"
                ),
                Figure(f"the same by the plain design, {size} in a POST", plain_spent, "us"),
            ]
            most = most or ours
        figures += await _at_half(made, most / 2, seconds, options)
        figures += await _overloaded(made, most * OVERLOAD, seconds, options)
    return figures


async def _in_turn(
    made: Machine, size: int, seconds: float, repeats: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the median rates of both, and their CPU of a notification in µs, measured in alternating rounds."""
    rates: dict[int, list[tuple[float, float]]] = {made.edge_port: [], made.plain_port: []}
    for port in rates:
        await made.send(port, size, min(seconds, WARM_SECONDS))
    for _ in range(repeats):
        for port, found in rates.items():
            before = processor_seconds(*made.spenders[port])
            outcome = await made.send(port, size, seconds)
            spent = processor_seconds(*made.spenders[port]) - before
            accepted = outcome.statuses.get("202", 0) * size
            found.append((accepted / outcome.seconds, spent / max(1, accepted) * 1e6))
    ours, plain = ([median(column) for column in zip(*rounds, strict=True)] for rounds in rates.values())
    return (ours[0], ours[1]), (plain[0], plain[1])


async def _at_half(made: Machine, per_second: float, seconds: float, options: Options) -> list[Figure]:
    outcome = await made.send(made.edge_port, 1, seconds, per_second=per_second)
    return [
        Figure("median at half the maximum rate", median(outcome.milliseconds), "ms"),
        Figure(
            "p99 at half the maximum rate", percentile(outcome.milliseconds, 99), "ms", _unless_quick(options, "<= 50")
        ),
    ]


async def _overloaded(made: Machine, per_second: float, seconds: float, options: Options) -> list[Figure]:
    """Send three times the maximum rate: accepted items are on disk, refusals come quickly, memory is bounded."""
    before = await made.query("SELECT count(*) FROM ingest.items")
    async with _watching(made) as memory:
        outcome = await made.send(
            made.edge_port, 1, seconds * 2, per_second=per_second, connections=OVERLOAD_CONNECTIONS
        )
    on_disk = await made.query("SELECT count(*) FROM ingest.items") - before
    accepted = outcome.statuses.get("202", 0)
    others = {status: count for status, count in outcome.statuses.items() if status not in ("202", "503")}
    return [
        Figure("accepted a second at three times the maximum rate", accepted / outcome.seconds, "1/s"),
        Figure("refused at three times the maximum rate", _refused(outcome), "ratio", note="answered 503"),
        Figure("p99 of a refusal", percentile(outcome.refusal_milliseconds or [0.0], 99), "ms", "<= 1000"),
        Figure("answers other than 202 and 503", sum(others.values()), "", "<= 0", ", ".join(others)),
        Figure("accepted and not on disk", max(0, accepted - on_disk), "", "<= 0"),
        Figure("growth of Ingest's memory", memory.growth, "MiB", _unless_quick(options, "<= 64")),
    ]


@asynccontextmanager
async def _watching(made: Machine) -> AsyncIterator[Memory]:
    memory, process = Memory(), made.ingest

    async def watch() -> None:
        while True:
            memory.samples.append(process.memory_info().rss / 2**20)
            await asyncio.sleep(SAMPLE_SECONDS)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    try:
        yield memory
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def _refused(outcome: Outcome) -> float:
    return outcome.statuses.get("503", 0) / max(1, sum(outcome.statuses.values()))


def _unless_quick(options: Options, target: str) -> str:
    return "" if options.is_quick else target


if __name__ == "__main__":
    measure.main(
        "accept_webhooks",
        "How many notifications a second are committed before they are answered?",
        "A process of its own sends the load by HTTP/1.1, over 64 connections, for 100 tenants. mailmesh: Envoy"
        " with the edge's configuration, one Ingest process, and PostgreSQL that waits for its disk. The plain"
        " design (bench/plain_ingest.py): FastAPI on uvicorn with uvloop, one insert and one arq enqueue for each"
        " notification, and no proxy. Everything runs on one machine together with the load.",
        program,
    )
