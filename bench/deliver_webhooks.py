"""The rate and the latency of webhooks, beside a plain sender with one job for each event."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import asyncpg
import psutil

from bench import measure
from bench.delivery_machine import DeliveryMachine, delivery_machine, new_events
from bench.measure import Figure, Options, median, percentile, processor_seconds
from bench.plain_sender import JOBS_AT_ONCE
from services.processor.stream.cursor import Cursor, tag_of

EVENTS, MESSAGES = 100_000, 20_000
PLAIN_EVENTS = 5_000
MANY_ENDPOINTS, EVENTS_OF_MANY = 1_000, 20
STEADY_PER_SECOND, STEADY_SECONDS = 50, 30.0
UNDELIVERED, STALLED_SECONDS, SETTLE_SECONDS = 1_000_000, 60.0, 15.0
CONCURRENCY = 50
PATIENCE_SECONDS = 900.0


async def program(options: Options) -> Sequence[Figure]:
    """Measure the latency, then the rates of both designs, then the memory with a million undelivered events."""
    size = 100 if options.is_quick else 1
    async with delivery_machine() as machine:
        figures = await _steady(machine, 1.0 if options.is_quick else STEADY_SECONDS, options)
        await machine.fill(EVENTS // size, MESSAGES // size)
        plain, spent = await _plain(machine, PLAIN_EVENTS // size, MESSAGES // size, 1)
        figures += await _catch_up(machine, plain, spent, options)
        many = MANY_ENDPOINTS // size
        plain, _ = await _plain(machine, PLAIN_EVENTS // size, MESSAGES // size, many)
        figures += await _to_many(machine, many, EVENTS_OF_MANY, plain)
        figures += await _undelivered(machine, size, options)
    return figures


async def _steady(machine: DeliveryMachine, seconds: float, options: Options) -> list[Figure]:
    """Measure the time from an event's commit to its receiver, at a steady rate."""
    with machine.delivery():
        made = await machine.endpoints(1, "latest")
        await asyncio.sleep(2)
        count = await machine.publish(STEADY_PER_SECOND, seconds)
        await machine.arrived(count, 60)
        milliseconds = [one * 1000 for one in (await machine.arrivals())["seconds"]]
        await machine.delete(made)
    return [
        Figure(f"median from event to receiver, {STEADY_PER_SECOND}/s", median(milliseconds), "ms"),
        Figure(
            f"p99 from event to receiver, {STEADY_PER_SECOND}/s",
            percentile(milliseconds, 99),
            "ms",
            "" if options.is_quick else "<= 250",
        ),
    ]


async def _plain(machine: DeliveryMachine, events: int, messages: int, endpoints: int) -> tuple[float, float]:
    """Return the webhooks that the plain design sends in a second, and its processor time for each in µs."""
    await machine.enqueue(new_events(events, messages), endpoints)
    with machine.plain() as process:
        begun = processor_seconds(process.pid)
        await machine.arrived(events, PATIENCE_SECONDS)
        spent = processor_seconds(process.pid) - begun
    return _rate(await machine.arrivals()), spent / events * 1e6


async def _catch_up(machine: DeliveryMachine, plain: float, plain_spent: float, options: Options) -> list[Figure]:
    """Deliver a backlog to one endpoint, and look for events that overtook one of their message."""
    with machine.delivery() as process:
        wanted, begun = await _stored(machine), processor_seconds(process.pid)
        made = await machine.endpoints(1, "earliest", concurrency=CONCURRENCY)
        await machine.arrived(len(wanted), PATIENCE_SECONDS)
        spent = (processor_seconds(process.pid) - begun) / len(wanted) * 1e6
        found = await machine.arrivals()
        await machine.delete(made)
    rate = _rate(found)
    missing = len(wanted.keys() - {*found["ids"]})
    return [
        Figure("webhooks a second to 1 endpoint", rate, "1/s", note=f"catch-up of {len(wanted):,} events"),
        Figure("the same by the plain design", plain, "1/s", note=f"{JOBS_AT_ONCE} jobs at once, no order"),
        Figure("times the plain design, 1 endpoint", rate / plain, "ratio", "" if options.is_quick else ">= 5"),
        Figure("CPU of a webhook, Delivery", spent, "us"),
        Figure("CPU of a webhook, the plain design's process", plain_spent, "us"),
        Figure("events that overtook an earlier one of their message", _overtakers(found["ids"], wanted), "", "<= 0"),
        Figure("events that did not arrive", missing, "", "<= 0"),
    ]


async def _to_many(machine: DeliveryMachine, endpoints: int, events: int, plain: float) -> list[Figure]:
    """Deliver a backlog of the same events to many endpoints."""
    cursor = await _cursor_before(machine, events)
    with machine.delivery() as process:
        made = await machine.endpoints(endpoints, cursor)
        await machine.arrived(endpoints * events, PATIENCE_SECONDS)
        memory = process.memory_info().rss / 2**20
        rate = _rate(await machine.arrivals())
        await machine.delete(made)
    return [
        Figure(f"webhooks a second to {endpoints:,} endpoints", rate, "1/s", note=f"{events} events to each"),
        Figure(f"the same by the plain design, {endpoints:,} endpoints", plain, "1/s"),
        Figure(f"times the plain design, {endpoints:,} endpoints", rate / plain, "ratio"),
        Figure(f"resident memory with {endpoints:,} endpoints", memory, "MiB"),
    ]


async def _undelivered(machine: DeliveryMachine, size: int, options: Options) -> list[Figure]:
    """Let a receiver that answers slowly face a million events, and watch the memory of Delivery."""
    await machine.fill(UNDELIVERED // size, MESSAGES // size)
    with machine.delivery() as process:
        made = await machine.endpoints(1, "earliest", path="/after/5000", concurrency=CONCURRENCY)
        await asyncio.sleep(SETTLE_SECONDS / size)
        samples = await _memory(process, STALLED_SECONDS / size)
        await machine.delete(made)
    await machine.arrivals()
    return [
        Figure("undelivered events", UNDELIVERED // size, "events"),
        Figure("resident memory with them", samples[0], "MiB"),
        Figure(
            f"its growth in the next {STALLED_SECONDS:.0f} seconds",
            max(samples) - samples[0],
            "MiB",
            "" if options.is_quick else "<= 8",
        ),
    ]


def _rate(arrivals: dict[str, list[Any]]) -> float:
    """Return the webhooks that arrived in a second, from the first to the last."""
    at: list[float] = arrivals["at"]
    return len(at) / (max(at) - min(at))


async def _memory(process: psutil.Process, seconds: float) -> list[float]:
    samples = []
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                samples.append(process.memory_info().rss / 2**20)
                await asyncio.sleep(0.2)
    return samples


async def _stored(machine: DeliveryMachine) -> dict[str, int]:
    """Return the events of the stream by id: the number of their message."""
    connection = await asyncpg.connect(machine.urls["processor"])
    try:
        rows = await connection.fetch(
            "SELECT event_id::text AS id, hashtextextended(basic::text, 0) AS message FROM processor.events"
            " ORDER BY position"
        )
    finally:
        await connection.close()
    return {row["id"]: row["message"] for row in rows}


def _overtakers(arrived: Sequence[str], wanted: dict[str, int]) -> int:
    """Count the events that arrived before an earlier one of their message; repetitions behind it do not count."""
    places = {event_id: place for place, event_id in enumerate(wanted)}
    newest: dict[int, int] = {}
    overtaken = 0
    for event_id in dict.fromkeys(arrived):
        message, place = wanted[event_id], places[event_id]
        overtaken += place < newest.get(message, -1)
        newest[message] = max(place, newest.get(message, -1))
    return overtaken


async def _cursor_before(machine: DeliveryMachine, events: int) -> str:
    """Return the cursor before the last events of the stream."""
    connection = await asyncpg.connect(machine.urls["processor"])
    try:
        row = await connection.fetchrow(
            "SELECT (SELECT epoch FROM processor.stream WHERE id = 1) AS epoch, position, event_id"
            " FROM processor.events ORDER BY position DESC OFFSET $1 LIMIT 1",
            events,
        )
    finally:
        await connection.close()
    assert row is not None
    return Cursor(row["epoch"], row["position"], tag_of(row["event_id"])).write()


if __name__ == "__main__":
    measure.main(
        "deliver_webhooks",
        "How fast do webhooks reach their receivers, one at a time and after an outage?",
        "One process each of Processor and Delivery, PostgreSQL that waits for its disk, and a receiver in a process of"
        " its own that answers at once, all on one machine. The plain design (bench/plain_sender.py): one arq job for"
        " each event, 64 at once over one HTTP client, signed by the official library, one row for the outcome; no"
        " order, no retries, no bound for a receiver, no judged address. The rate is that of the arrivals, from the"
        f" first to the last; the endpoint has {CONCURRENCY} requests at once, those of many endpoints the usual 8."
        " Memory is watched while a receiver that answers after five seconds faces a million events.",
        program,
    )
