"""The door bounds the calls of each key and in all; connections without a call take nothing from the health check."""

import asyncio
from typing import Any

from gateway.agents import MOST_CONNECTIONS as MOST_OF_AN_EDGE
from services.agents.server import MOST_CONNECTIONS
from tests.wire.agents.conftest import HOST, RunningDoor, StartDoor


async def held(door: RunningDoor, *keys: str) -> list[asyncio.Task[dict[str, Any]]]:
    """Calls that the edge holds."""
    expected = door.tenants.held + len(keys)
    calls = [asyncio.create_task(door.call(key)) for key in keys]
    async with asyncio.timeout(60):
        while door.tenants.held < expected:
            await asyncio.sleep(0.02)
    return calls


async def test_idle_connections_leave_the_health_check_an_answer(start_door: StartDoor) -> None:
    door = await start_door()
    idle = [
        await asyncio.open_connection("127.0.0.1", door.port, ssl=door.context, server_hostname=HOST)
        for _ in range(MOST_OF_AN_EDGE)
    ]
    health = await door.health()
    for _, writer in idle:
        writer.close()

    assert (health.status_code, health.text) == (200, "serving")


async def test_calls_in_all_are_bounded_and_the_health_check_is_not(start_door: StartDoor) -> None:
    door = await start_door(calls=2)
    calls = await held(door, "one", "two")
    refused, health = await door.call("three"), await door.health()
    door.tenants.released.set()

    assert refused["isError"]
    assert refused["content"][0]["text"].startswith("OVERLOADED: ")
    assert health.status_code == 200
    assert [(await call)["isError"] for call in calls] == [False, False]
    assert not (await door.call("three"))["isError"], "the room is free again"


async def test_one_key_has_a_share(start_door: StartDoor) -> None:
    door = await start_door(calls_per_key=2)
    calls = await held(door, "one", "one")
    refused = await door.call("one")
    calls += await held(door, "two")
    door.tenants.released.set()

    assert refused["content"][0]["text"].startswith("OVERLOADED: ")
    assert [(await call)["isError"] for call in calls] == [False, False, False]


def test_the_door_takes_the_connections_of_several_edges() -> None:
    assert MOST_CONNECTIONS >= 4 * MOST_OF_AN_EDGE
