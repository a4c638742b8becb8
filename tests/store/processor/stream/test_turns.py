"""The turns of followers: each tenant has its own, whatever those before it do, and their lag is measured."""

import itertools
import time
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY

from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.errors import ServiceUnavailable
from services.meshkit.ids import new_id
from services.processor.stream import turns
from services.processor.stream.publish import publish
from services.processor.stream.retention import Retention
from services.processor.stream.turns import Turns
from tests.store.processor.stream.conftest import mail_draft

TABLE = "processor.conversation_settings"
LAG = "mailmesh_processor_follower_lag_seconds"


async def followed(pool: db.Pool, position: int = 0, *, is_enabled: bool = True) -> str:
    """Return a tenant with a row of a follower that read up to a position."""
    tenant_id = new_id()
    await pool.execute(f"INSERT INTO {TABLE} VALUES ($1, $2, $3, '', '')", tenant_id, is_enabled, position)  # noqa: S608
    return tenant_id


@pytest.fixture(autouse=True)
async def partitions(pool: db.Pool) -> None:
    await Retention(pool, 30, SystemClock()).prepare()


async def published(pool: db.Pool, *tenants: str) -> None:
    async with db.transaction(pool) as connection:
        await publish(connection, [mail_draft(tenant_id=one) for one in tenants])


class Turned:
    """Notes the tenants that have a turn.

    Attributes:
        seen: The tenants, in order.
        failing: The failures of tenants.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.failing: dict[str, Exception] = {}

    async def __call__(self, tenant_id: str) -> None:
        self.seen.append(tenant_id)
        if tenant_id in self.failing:
            raise self.failing[tenant_id]


@pytest.mark.parametrize("failure", [ServiceUnavailable(), ValueError("a mail")], ids=["named", "unexpected"])
async def test_a_failing_tenant_and_one_far_behind_delay_no_other(
    pool: db.Pool, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    monkeypatch.setattr(turns, "_TENANTS", 1)
    tenants = [await followed(pool) for _ in range(3)]
    await published(pool, *tenants, tenants[0])
    turned = Turned()
    one = Turns(pool, "conversations", TABLE, turned)
    turned.failing[min(tenants)] = failure
    done = [await one.round() for _ in range(6)]

    assert sorted(tenants) * 2 == turned.seen
    assert [0, 1, 1] * 2 == done


async def test_only_tenants_with_unread_events_or_other_work_are_due(pool: db.Pool) -> None:
    behind, off, other = await followed(pool), await followed(pool, is_enabled=False), await followed(pool, 2**60)
    read = await followed(pool, 2**60)
    await published(pool, behind, off, other, read)
    turned = Turned()

    assert 1 == await Turns(pool, "conversations", TABLE, turned).round()
    assert [behind] == turned.seen
    await Turns(pool, "conversations", TABLE, turned, has_other_work=f"tenant_id = '{other}'").round()
    assert {behind, other} == set(turned.seen[1:])


async def test_a_paused_tenant_has_no_turn_and_counts_in_the_lag(pool: db.Pool) -> None:
    paused, other = await followed(pool), await followed(pool)
    await published(pool, paused, other)
    turned = Turned()
    one = Turns(pool, "conversations", TABLE, turned, is_paused=f"tenant_id = '{paused}'")
    done = (await one.round(), list(turned.seen))
    everybody = Turns(pool, "conversations", TABLE, turned, is_paused="true")
    await everybody.round()

    assert (1, [other]) == done
    assert [other] == turned.seen
    assert 0 < (REGISTRY.get_sample_value(LAG, {"follower": "conversations"}) or 0)


async def test_a_round_that_takes_long_ends_and_leaves_the_others_their_place(
    pool: db.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenants = sorted([await followed(pool) for _ in range(3)])
    await published(pool, *tenants)
    turned = Turned()
    one = Turns(pool, "conversations", TABLE, turned)
    monkeypatch.setattr(turns, "_ROUND_SECONDS", 0.0)
    seconds = itertools.cycle((0, 0, 1))  # at the start of a round, and behind each turn
    monkeypatch.setattr(turns, "time", SimpleNamespace(time=time.time, monotonic=lambda: next(seconds)))
    rounds = [await one.round() for _ in range(3)]

    assert [1, 1, 1] == rounds
    assert tenants == turned.seen


async def test_a_process_that_loses_the_duty_in_a_round_takes_no_further_turn(pool: db.Pool) -> None:
    tenants = sorted([await followed(pool) for _ in range(3)])
    await published(pool, *tenants)
    turned = Turned()

    async def is_first(_: db.Connection) -> bool:
        return not turned.seen

    assert 1 == await Turns(pool, "conversations", TABLE, turned, may_begin=is_first).round()
    await Turns(pool, "conversations", TABLE, turned).round()
    assert [tenants[0], *tenants[1:], tenants[0]] == turned.seen


async def test_the_age_of_the_oldest_unread_event_is_measured_where_turns_are_taken(
    pool: db.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lag() -> float | None:
        return REGISTRY.get_sample_value(LAG, {"follower": "conversations"})

    async def nobody(_: db.Connection) -> bool:
        return False

    tenant = await followed(pool)
    await published(pool, tenant)
    later = SimpleNamespace(time=lambda: time.time() + 3600, monotonic=time.monotonic)
    monkeypatch.setattr(turns, "time", later)
    await Turns(pool, "conversations", TABLE, Turned()).round()
    assert 3600 == pytest.approx(lag(), abs=60)

    assert 0 == await Turns(pool, "conversations", TABLE, Turned(), may_begin=nobody).round()
    assert 0 == lag()
