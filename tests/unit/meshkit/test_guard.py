"""Guarded loops outlive their failures, and write few lines about them."""

import asyncio
import errno
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest
import structlog

from services.meshkit.errors import StoreUnavailable
from services.meshkit.guard import Guard
from services.meshkit.logs import configure_logs
from services.meshkit.metrics import LOG_LINES_LOST, LOOP_RUNS, UNEXPECTED


async def test_a_guarded_loop_outlives_named_and_unexpected_failures():
    outcomes, done = [StoreUnavailable(), OSError(errno.EMFILE, "Too many open files"), ZeroDivisionError()], []
    before = UNEXPECTED.labels("guarded")._value.get(), LOOP_RUNS.labels("guarded", "failed")._value.get()
    guard = Guard("guarded", 0.001)

    async def work() -> None:
        if outcomes:
            raise outcomes.pop(0)
        done.append(guard.failures)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await guard.until_cancelled(work)

    after = UNEXPECTED.labels("guarded")._value.get(), LOOP_RUNS.labels("guarded", "failed")._value.get()
    assert ([3], (1, 3)) == (done, (after[0] - before[0], after[1] - before[1]))


async def test_a_guarded_loop_that_fails_for_ever_writes_few_lines(capsys):
    configure_logs("guarded", "info", sys.stdout)
    guard = Guard("noisy")

    async def work() -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for _ in range(200):
        await guard.attempt(work)
    structlog.reset_defaults()
    lines = capsys.readouterr().out.splitlines()

    assert 1 <= len(lines) <= 20
    assert "Read-only file system" in lines[0]


@pytest.fixture
def full_disk() -> Iterator[TextIO]:
    file = Path("/dev/full").open("w")  # noqa: SIM115 - closing it fails
    yield file
    with suppress(OSError):
        file.close()


async def test_a_loop_whose_log_cannot_be_written_goes_on(full_disk: TextIO):
    lost, tries, guard = LOG_LINES_LOST._value.get(), [], Guard("full", 0.001)
    configure_logs("full", "info", full_disk)

    async def work() -> None:
        tries.append(guard.failures)
        if len(tries) == 3:
            raise asyncio.CancelledError
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(asyncio.CancelledError):
        await guard.until_cancelled(work)
    structlog.reset_defaults()

    assert ([0, 1, 2], 2) == (tries, LOG_LINES_LOST._value.get() - lost)
