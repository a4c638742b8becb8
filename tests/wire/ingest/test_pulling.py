"""Gmail's notifications are pulled from the simulated Pub/Sub, and acknowledged only when they are on disk."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY

from services.ingest.server import serving
from services.meshkit.secret import Secret
from services.meshkit.server import MeshServer
from simulator.control_client import SimulatorControl
from tests.factories.ingest import add_watched
from tests.programs.postgres import TestDatabase
from tests.programs.simulator import RunningSimulator
from tests.wire.ingest.conftest import MakeSettings
from tests.wire.ingest.pushing import claim_all

NAME = "projects/mailmesh-simulator/subscriptions/gmail-pull"


@pytest.fixture
async def control(simulator: RunningSimulator) -> AsyncIterator[SimulatorControl]:
    """The control, with an existing subscription whose ack ids live long."""
    async with simulator.control() as client:
        await client.reset()
        await client.set_pull(exists=False)
        await client.set_pull(exists=True, refused=False)
        await client.set(pubsub_ack_deadline_seconds=60, pubsub_pull_wait_seconds=1)
        yield client
        await client.set_pull(exists=False)


@pytest.fixture
async def key(control: SimulatorControl) -> str:
    """A key of the service account that may consume the subscription."""
    return json.dumps(await control.make_key())


Pulling = Callable[..., Any]


@pytest.fixture
def pulling(make_settings: MakeSettings, simulator: RunningSimulator, key: str) -> Pulling:
    """Serves an Ingest that pulls."""

    @asynccontextmanager
    async def serve(**overrides: Any) -> AsyncIterator[MeshServer]:
        given = {
            "pubsub_url": simulator.settings["MAILMESH_GOOGLEWS_PUBSUB_URL"],
            "provider_ca": simulator.ca_file,
            "pubsub_subscription": NAME,
            "pubsub_key": Secret(key),
            "pull_seconds": 5,
        }
        async with serving(make_settings(**(given | overrides))) as server:
            yield server

    return serve


async def until(control: SimulatorControl, **wanted: int) -> dict[str, Any]:
    """Waits until the subscription has the wanted numbers, at least."""
    async with asyncio.timeout(30):
        found = await control.pulled()
        while any(found[name] < number for name, number in wanted.items()):
            await asyncio.sleep(0.05)
            found = await control.pulled()
        return found


def pulls(outcome: str) -> float:
    return REGISTRY.get_sample_value("mailmesh_ingest_pulls_total", {"outcome": outcome}) or 0


def last_pull() -> float:
    return REGISTRY.get_sample_value("mailmesh_ingest_last_pull_timestamp_seconds") or 0


async def test_what_is_pulled_is_given_out_once_and_acknowledged(
    pulling: Pulling, clients_of: Any, control: SimulatorControl, database: asyncpg.Connection
) -> None:
    await add_watched(database, provider="googlews", address="ann@example.test")
    before = (await control.pulled())["acknowledged"]
    async with pulling() as server:
        for number in (5, 6, 7):
            await control.publish(address="Ann@Example.test", historyId=number)
        await control.publish(data="bm8ganNvbg==")
        await control.publish(address="nobody@elsewhere.test", historyId=1)
        await until(control, acknowledged=before + 5)
        given = await claim_all(await clients_of(server))

    assert sorted(item.mailbox_changed.history_id for item in given) == [5, 6, 7]
    assert all(item.mailbox_changed.pubsub_message_id for item in given)


async def test_nothing_is_acknowledged_that_is_not_on_disk(
    pulling: Pulling, control: SimulatorControl, ingest_database: TestDatabase, database: asyncpg.Connection
) -> None:
    await add_watched(database, provider="googlews", address="ann@example.test")
    blocker = await asyncpg.connect(ingest_database.url)
    before, failed = await control.pulled(), pulls("STORE_UNAVAILABLE")
    async with pulling(commit_seconds=0.3):
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE ingest.items IN ACCESS EXCLUSIVE MODE")
            await control.publish(address="ann@example.test", historyId=9)
            # It is given back, and therefore delivered again long before its ack id expires.
            seen = await until(control, redelivered=before["redelivered"] + 1)
            assert seen["acknowledged"] == before["acknowledged"]
            last = last_pull()
            await until(control, redelivered=seen["redelivered"] + 1)
            # A pull whose commit fails counts as none for the alert.
            assert last == last_pull()
        await until(control, acknowledged=before["acknowledged"] + 1)
    await blocker.close()

    assert pulls("STORE_UNAVAILABLE") > failed
    assert last_pull() > last
    assert 1 == await database.fetchval("SELECT count(*) FROM ingest.items")


async def test_an_acknowledgement_that_is_lost_costs_a_repeat_and_no_item(
    pulling: Pulling, control: SimulatorControl, database: asyncpg.Connection
) -> None:
    await add_watched(database, provider="googlews", address="ann@example.test")
    before = await control.pulled()
    await control.set(pubsub_ack_deadline_seconds=1)
    await control.add_fault("status", endpoint="pubsub.acknowledge", status=503, count=1)
    async with pulling():
        await control.publish(address="ann@example.test", historyId=11)
        await until(control, redelivered=before["redelivered"] + 1, acknowledged=before["acknowledged"] + 1)

    assert 1 == await database.fetchval("SELECT count(*) FROM ingest.items")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_pulling_goes_on_after_a_passing_refusal(
    pulling: Pulling, control: SimulatorControl, database: asyncpg.Connection, status: int
) -> None:
    await add_watched(database, provider="googlews", address="ann@example.test")
    before = (await control.pulled())["acknowledged"]
    await control.add_fault("status", endpoint="pubsub.pull", status=status, count=2)
    async with pulling():
        await control.publish(address="ann@example.test", historyId=status)
        await until(control, acknowledged=before + 1)

    assert 1 == await database.fetchval("SELECT count(*) FROM ingest.items")


async def test_an_expired_token_is_replaced(
    pulling: Pulling, control: SimulatorControl, database: asyncpg.Connection
) -> None:
    await add_watched(database, provider="googlews", address="ann@example.test")
    before = (await control.pulled())["acknowledged"]
    async with pulling():
        await control.publish(address="ann@example.test", historyId=1)
        await until(control, acknowledged=before + 1)
        await control.add_fault("status", endpoint="pubsub.pull", status=401, count=1)
        await control.publish(address="ann@example.test", historyId=2)
        await until(control, acknowledged=before + 2)


async def test_of_two_processes_one_pulls_and_the_other_follows_it(
    pulling: Pulling, control: SimulatorControl, database: asyncpg.Connection
) -> None:
    await add_watched(database, provider="googlews", address="ann@example.test")
    # A pull that ends with its process may have leased a message: it is redelivered after the ack deadline.
    await control.set(pubsub_ack_deadline_seconds=2)
    before = (await control.pulled())["acknowledged"]
    async with pulling():
        await control.publish(address="ann@example.test", historyId=1)
        await until(control, acknowledged=before + 1)
        holder = await database.fetchval("SELECT holder FROM ingest.pull_leases")
        async with pulling():
            await control.publish(address="ann@example.test", historyId=2)
            await until(control, acknowledged=before + 2)
            assert holder == await database.fetchval("SELECT holder FROM ingest.pull_leases")
    # The lease ends with its holder: the next process need not wait for its end.
    assert [] == await database.fetch("SELECT holder FROM ingest.pull_leases")
    async with pulling():
        await control.publish(address="ann@example.test", historyId=3)
        await until(control, acknowledged=before + 3)
        assert holder != await database.fetchval("SELECT holder FROM ingest.pull_leases")


@pytest.mark.parametrize("unusable", ["{}", "no JSON", "[]", '{"type": "service_account", "private_key": "x"}'])
async def test_an_unusable_key_is_named_and_shown_nowhere(
    pulling: Pulling, control: SimulatorControl, unusable: str, capfd: pytest.CaptureFixture[str]
) -> None:
    failed = pulls("INSTALLATION_MISCONFIGURED")
    async with pulling(pubsub_key=Secret(unusable)), asyncio.timeout(30):
        while pulls("INSTALLATION_MISCONFIGURED") == failed:
            await asyncio.sleep(0.05)
    assert unusable not in "".join(capfd.readouterr())


@pytest.mark.parametrize("cause", ["refused", "missing"])
async def test_a_misconfiguration_is_named_and_pulling_begins_when_it_is_repaired(
    pulling: Pulling, control: SimulatorControl, database: asyncpg.Connection, cause: str
) -> None:
    await add_watched(database, provider="googlews", address="ann@example.test")
    failed = pulls("INSTALLATION_MISCONFIGURED")
    await control.set_pull(**({"refused": True} if cause == "refused" else {"exists": False}))
    async with pulling():
        async with asyncio.timeout(30):
            while pulls("INSTALLATION_MISCONFIGURED") == failed:
                await asyncio.sleep(0.05)
        await control.set_pull(exists=True, refused=False)
        before = (await control.pulled())["acknowledged"]
        await control.publish(address="ann@example.test", historyId=1)
        await until(control, acknowledged=before + 1)


async def test_the_platforms_own_credentials_are_used_without_a_key_file(
    pulling: Pulling,
    control: SimulatorControl,
    database: asyncpg.Connection,
    key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await add_watched(database, provider="googlews", address="ann@example.test")
    (tmp_path / "key.json").write_text(key)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    before = (await control.pulled())["acknowledged"]
    async with pulling(pubsub_key=None):
        await control.publish(address="ann@example.test", historyId=1)
        await until(control, acknowledged=before + 1)
