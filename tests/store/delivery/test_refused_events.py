"""A receiver that refuses a few events and takes the others, over three days of the schedule."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.delivery.sending.results import record
from services.delivery.sending.schedule import Schedule
from services.delivery.server import schedule_of
from services.delivery.settings import DeliverySettings
from services.delivery.store import deliveries, leases
from services.delivery.store.rows import Delivery, EndpointRow, State
from services.meshkit import db
from services.meshkit.ids import new_id
from services.meshkit.settings import load
from tests.store.delivery.queues import Pool, delivery, held, pass_time, pool, queued, tried

__all__ = ["pool"]
pytestmark = pytest.mark.timeout(300)
GOOD_EVERY = timedelta(minutes=20)
END = timedelta(hours=100)


@dataclass
class Run:
    """An endpoint whose time the test moves.

    Attributes:
        now: The time since the beginning.
        tries: When each refused event was tried.
        longest: The longest time that a good event waited.
    """

    pool: Pool
    lease_id: str
    row: EndpointRow
    schedule: Schedule
    now: timedelta = timedelta()
    tries: dict[str, list[timedelta]] = field(default_factory=dict)
    born: dict[str, timedelta] = field(default_factory=dict)
    longest: timedelta = timedelta()

    async def send_until(self, end: timedelta) -> None:
        """Sends whatever is due, as the deliverer does, until a time."""
        while True:
            pause = await self._send()
            if pause is None:
                continue
            step = min(pause + timedelta(milliseconds=50), end - self.now)
            await pass_time(self.pool, step)
            self.now += step
            if self.now >= end:
                return

    async def _send(self) -> timedelta | None:
        async with db.transaction(self.pool) as connection:
            await leases.extend(connection, self.lease_id, timedelta(minutes=5))
            row = await leases.held(connection, self.lease_id, self.row.endpoint_id)
            assert row is not None
            probes = row.state is State.FAILING
            if row.throttled_until is not None and row.throttled_until > datetime.now(UTC):
                return row.throttled_until - datetime.now(UTC)
            found = await deliveries.following(
                connection, row.endpoint_id, [], 1 if probes else row.concurrency, prefers_new=probes
            )
        due = [one for one in found if one.wait_seconds <= 0]
        if not due:
            return timedelta(seconds=found[0].wait_seconds) if found else END
        done = [tried(one, self._answer(one)) for one in due]
        await record(self.pool, self.lease_id, row.endpoint_id, done, self.schedule, datetime.now(UTC))
        return None

    def _answer(self, one: Delivery) -> int:
        if one.order_key.startswith("bad"):
            self.tries.setdefault(one.event_id, []).append(self.now)
            return 500
        self.longest = max(self.longest, self.now - self.born[one.event_id])
        return 200


def spread(bad: int) -> Iterator[list[str]]:
    """Yields the messages of each step.

    They are five bad ones in a row, then bad ones among good ones, then good ones alone.
    """
    yield [f"bad{number}" for number in range(5)]
    for number in range(5, bad):
        yield [f"bad{number}", f"good{number}"]
    for number in range(END // GOOD_EVERY):
        yield [f"later{number}"]


@pytest.mark.parametrize("bad", [5, 20])
async def test_refused_events_get_their_three_days_and_the_others_do_not_wait(
    pool: Pool, bad: int, tmp_path: Path
) -> None:
    paths = dict.fromkeys(("tls_cert", "tls_key", "tls_ca"), tmp_path)
    schedule = schedule_of(load(DeliverySettings, database_url="postgresql://x", **paths))
    lease_id = new_id()
    run = Run(pool, lease_id, await held(pool, lease_id), schedule)
    for messages in spread(bad):
        new = [delivery(message) for message in messages]
        run.born |= {one.event_id: run.now for one in new}
        await queued(pool, run.row, *new)
        await run.send_until(run.now + (GOOD_EVERY if "later" in messages[0] else timedelta(seconds=1)))

    assert bad == len(run.tries)
    assert {10} == {len(times) for times in run.tries.values()}
    whole = sum(schedule.pauses, timedelta())
    assert all(whole * 0.8 <= times[-1] - times[0] <= whole * 1.25 for times in run.tries.values())
    assert run.longest <= timedelta(minutes=1), run.longest
