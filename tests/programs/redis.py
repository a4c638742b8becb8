"""A real Redis for tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from stack.ports import free_port
from stack.programs.redis import RedisServer
from stack.programs.running import ProgramError, RunningProgram

START_ATTEMPTS = 5


class RedisProgram:
    """A Redis server that a test may stop, kill and start again."""

    def __init__(self, server: RedisServer, running: RunningProgram) -> None:
        self.server = server
        self.running = running

    def url(self, database: int = 0) -> str:
        """Returns the address of one of its databases."""
        return self.server.url(database)


def start_redis(folder: Path) -> RedisProgram:
    """Starts Redis on a free port; tries another port if a different program has taken the first."""
    folder.mkdir(parents=True)
    for attempt in range(START_ATTEMPTS):
        server = RedisServer.prepare(folder / "data", free_port())
        running = RunningProgram(server.program(), folder / f"redis-{attempt}.log")
        try:
            running.wait_until_ready()
        except ProgramError:
            running.stop()
            continue
        return RedisProgram(server, running)
    raise ProgramError(f"Redis found no free port in {START_ATTEMPTS} attempts")


@pytest.fixture(scope="session")
def shared_redis(short_folder: Path) -> Iterator[RedisProgram]:
    """One Redis for all tests of this process; ask for `redis_url` instead."""
    program = start_redis(short_folder / "redis")
    yield program
    program.running.stop()


@pytest.fixture
def redis_url(shared_redis: RedisProgram) -> str:
    """The address of an empty Redis database for one test."""
    client = redis.Redis.from_url(shared_redis.url())
    try:
        client.flushall()
    finally:
        client.close()
    return shared_redis.url()


@pytest.fixture
def redis_program(tmp_path: Path) -> Iterator[RedisProgram]:
    """A Redis for one test, to stop, kill and start again: `redis_program.running.kill()`."""
    program = start_redis(tmp_path / "redis")
    yield program
    program.running.stop()
