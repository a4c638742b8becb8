"""Content is read in processes without rights: what breaks them costs one call, and they can do nothing else."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from mailmesh.primitives.v1 import primitive_service_pb2
from services.primitives.failure import ContentError
from services.primitives.sandbox.confine import Confinement
from services.primitives.sandbox.pool import Sandbox, SandboxLimits

MIB = 1024 * 1024
MAIL = b"Subject: Hello\n\nbody"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    limits = SandboxLimits(processes=1, seconds=60, confinement=Confinement(1024 * MIB, 30.0, 65534))
    async with Sandbox.open(limits) as opened:
        yield opened


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "services.primitives.sandbox.child" in child.cmdline()]


async def subject(sandbox: Sandbox) -> str:
    answer = await sandbox.run("mail", MAIL)
    return primitive_service_pb2.ParseMailResponse.FromString(answer).message.subject


async def test_mails_share_a_process_that_has_no_rights(sandbox: Sandbox) -> None:
    assert await sandbox.run("probe", b"") == b""
    (child,) = children()

    assert await subject(sandbox) == "Hello"
    assert children() == [child]
    status = await asyncio.to_thread(Path(f"/proc/{child.pid}/status").read_text)
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    assert child.environ() == {}
    assert child.uids().effective != 0
    assert psutil.Process(child.pid).cwd() == "/"


async def test_a_process_that_is_killed_costs_one_mail_and_the_next_one_gets_another(sandbox: Sandbox) -> None:
    await subject(sandbox)
    (child,) = children()
    child.send_signal(signal.SIGSTOP)
    reading = asyncio.ensure_future(subject(sandbox))
    await asyncio.sleep(0)
    child.kill()

    with pytest.raises(ContentError, match="crashed"):
        await reading
    assert await subject(sandbox) == "Hello"


async def test_a_process_that_ended_while_it_waited_costs_no_mail(sandbox: Sandbox) -> None:
    await subject(sandbox)
    (child,) = children()
    child.kill()
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)  # the event loop learns of the end

    assert await subject(sandbox) == "Hello"


async def test_a_call_that_is_cancelled_ends_its_process(sandbox: Sandbox) -> None:
    await subject(sandbox)
    (child,) = children()
    child.send_signal(signal.SIGSTOP)
    reading = asyncio.ensure_future(subject(sandbox))
    await asyncio.sleep(0.1)

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert children() == []
    assert await subject(sandbox) == "Hello"


async def test_time_by_the_clock_is_bounded() -> None:
    limits = SandboxLimits(processes=1, seconds=20, confinement=Confinement(1024 * MIB, 30.0, 65534))
    async with Sandbox.open(limits) as sandbox:
        await subject(sandbox)
        (child,) = children()
        child.send_signal(signal.SIGSTOP)
        sandbox._limits = SandboxLimits(processes=1, seconds=0.2, confinement=limits.confinement)

        with pytest.raises(ContentError, match="time"):
            await subject(sandbox)
        assert children() == []


async def test_time_of_processor_and_memory_are_bounded() -> None:
    words = b"=?utf-8?q?a?= " * 20_000
    for confinement, content, cause in (
        (Confinement(1024 * MIB, 0.0001, 65534), b"Subject: " + words + b"\n\n" + b"x" * MIB, "time"),
        (Confinement(320 * MIB, 30.0, 65534), b"Subject: x\n\n" + b"x" * 200 * MIB, "memory"),
    ):
        async with Sandbox.open(SandboxLimits(processes=1, seconds=60, confinement=confinement)) as sandbox:
            with pytest.raises(ContentError, match=cause):
                await sandbox.run("mail", content)


async def test_no_process_is_left_behind() -> None:
    limits = SandboxLimits(processes=2, seconds=60, confinement=Confinement(1024 * MIB, 30.0, 65534))
    async with Sandbox.open(limits) as sandbox:
        await asyncio.gather(subject(sandbox), subject(sandbox), subject(sandbox))
        assert 1 <= len(children()) <= 2

    assert children() == []
