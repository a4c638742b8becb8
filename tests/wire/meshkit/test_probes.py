"""The probes of an orchestrator, over real sockets."""

import asyncio

import httpx
import pytest

from services.meshkit.health import Dependency, Health
from services.meshkit.probes import LIVE_PATH, READINESS, READY_PATH, Pulse, serve_probes


async def answer(port: int, path: str) -> int:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{port}{path}")).status_code


async def test_a_process_is_ready_exactly_while_its_health_serves() -> None:
    is_up = True

    async def ping() -> None:
        if not is_up:
            raise OSError

    health = Health()
    health.watch(Dependency("postgres", ping))
    async with serve_probes("127.0.0.1:0", lambda: READINESS.is_ready) as port:
        seen = []
        for step in (True, False, True):
            is_up = step
            await health.check()
            seen.append((await answer(port, READY_PATH), await answer(port, LIVE_PATH)))
        await health.stop()
        seen.append((await answer(port, READY_PATH), await answer(port, LIVE_PATH)))

    assert [(200, 200), (503, 200), (200, 200), (503, 200)] == seen


def test_a_loop_that_stands_still_is_not_live() -> None:
    clock = [0.0]
    pulse = Pulse(lambda: clock[0])

    clock[0] = 29.0
    was_live = pulse.is_live()
    clock[0] = 31.0
    is_live = pulse.is_live()
    pulse.beat()

    assert (True, False, True) == (was_live, is_live, pulse.is_live())


@pytest.mark.parametrize("path", ["/", "/metrics", "/ready/", "/live/../metrics"])
async def test_no_other_path_is_answered(path: str) -> None:
    async with serve_probes("127.0.0.1:0", lambda: True) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        status = await reader.readline()
        writer.close()

    assert b" 404 " in status


async def test_an_empty_setting_opens_no_port() -> None:
    async with serve_probes("", lambda: True) as port:
        assert port == 0
