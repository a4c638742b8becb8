"""Content is read in processes without rights: what breaks them costs one call, and they can do nothing else."""

import asyncio
import os
import platform
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from gateway.render import CONTENT, TIMEOUT_SECONDS
from mailmesh.primitives.v1 import primitive_service_pb2
from services.meshkit.errors import Overloaded, ServiceUnavailable
from services.meshkit.isolated import isolated_command
from services.primitives.failure import ContentError
from services.primitives.sandbox.child import ANSWER, HEAD
from services.primitives.sandbox.confine import Confinement
from services.primitives.sandbox.pool import CHILD, Sandbox, SandboxLimits
from services.primitives.server import probe

MIB = 1024 * 1024
LIMITS = SandboxLimits(processes=1, seconds=60, confinement=Confinement(1024 * MIB, 30.0, 65534))
MAIL = b"Subject: Hello\n\nbody"

# The interpreter may lie in a folder that is closed to others: passing folders is the one right that is kept.
PASSAGE = [f"--{kind}=-all,+dac_read_search" for kind in ("inh-caps", "ambient-caps", "bounding-set")]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.open(LIMITS) as opened:
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


async def test_a_process_of_the_services_own_user_opens_no_file_and_signals_nothing() -> None:
    user = ("setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", *PASSAGE) if os.geteuid() == 0 else ()
    process = await asyncio.create_subprocess_exec(
        *(*user, *isolated_command(CHILD, *LIMITS.confinement.words())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await process.communicate(HEAD.pack(5, 0) + b"probe")

    assert answer == ANSWER.pack(*(True, 0))


@pytest.mark.skipif(platform.system() != "Linux", reason="no other system has the filter")
@pytest.mark.parametrize("machine", ["aarch64" if platform.machine() == "x86_64" else "x86_64", "riscv64"])
async def test_without_its_filter_the_process_ends(machine: str) -> None:
    """The kernel ends a process with the filter of another processor; without a table, the process ends itself."""
    words = LIMITS.confinement.words()
    start = f"import platform; platform.machine = lambda: {machine!r}; from {CHILD} import main; main({words})"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", start),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    answer, _ = await process.communicate(HEAD.pack(5, 0) + b"probe")

    assert answer == b""
    assert process.returncode != 0


async def test_the_service_does_not_start_when_a_process_of_either_kind_does_not() -> None:
    wrong = SandboxLimits(processes=1, seconds=60, confinement=Confinement(1024 * MIB, -1.0, 65534))
    async with Sandbox.open(LIMITS) as good, Sandbox.open(wrong) as bad:
        await probe(good)
        with pytest.raises(ServiceUnavailable, match="do not start"):
            await probe(good, bad)


@pytest.mark.skipif(platform.system() != "Linux", reason="no other system has it")
def test_the_services_memory_is_closed_to_other_processes_of_its_user() -> None:
    module = "services.primitives.sandbox.syscalls"
    told = (
        f"import ctypes; from {module} import refuse_inspection; refuse_inspection(); print(ctypes.CDLL(None).prctl(3))"
    )
    done = subprocess.run((sys.executable, "-c", told), capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "0\n"


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


async def test_content_that_only_waited_for_others_is_not_called_unreadable() -> None:
    async with Sandbox.open(LIMITS) as sandbox:
        await subject(sandbox)
        (child,) = children()
        child.send_signal(signal.SIGSTOP)
        reading = asyncio.ensure_future(subject(sandbox))
        await asyncio.sleep(0)
        sandbox._limits = SandboxLimits(processes=1, seconds=0.2, confinement=LIMITS.confinement)

        with pytest.raises(Overloaded):
            await subject(sandbox)
        child.send_signal(signal.SIGCONT)
        assert await reading == "Hello"


async def test_content_that_waited_for_others_has_its_whole_time() -> None:
    short = SandboxLimits(processes=1, seconds=2, confinement=LIMITS.confinement)
    async with Sandbox.open(LIMITS) as sandbox:
        await subject(sandbox)
        (child,) = children()
        child.send_signal(signal.SIGSTOP)
        await sandbox._places.acquire()
        sandbox._limits = short
        reading = asyncio.ensure_future(subject(sandbox))
        await asyncio.sleep(0)
        sandbox._limits = LIMITS
        sandbox._places.release()
        await asyncio.sleep(short.seconds + 0.2)
        child.send_signal(signal.SIGCONT)

        assert await reading == "Hello"


@pytest.mark.parametrize("seconds", [1, 20, 27.5, 28, 50])
def test_the_wait_and_the_reading_end_before_the_edge_gives_up(seconds: float) -> None:
    limits = SandboxLimits(processes=1, seconds=seconds, confinement=LIMITS.confinement)

    assert min(seconds, 5) <= limits.place_seconds <= seconds
    assert seconds + limits.place_seconds <= TIMEOUT_SECONDS[CONTENT] - 5


async def test_the_start_of_a_process_counts_as_time() -> None:
    limits = SandboxLimits(processes=1, seconds=0.001, confinement=LIMITS.confinement)
    async with Sandbox.open(limits) as sandbox:
        with pytest.raises(ContentError, match="time"):
            await subject(sandbox)

        assert children() == []


async def test_a_file_that_the_service_left_open_is_closed_in_the_process() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)  # noqa: FBT003 - it takes no names
    try:
        process = await asyncio.to_thread(
            subprocess.Popen,
            isolated_command(CHILD, *LIMITS.confinement.words()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={},
            close_fds=False,
        )
        os.close(writing)
        assert await asyncio.to_thread(os.read, reading, 1) == b""  # the end: no one else holds it
        assert process.poll() is None
        await asyncio.to_thread(process.communicate, timeout=60)
    finally:
        os.close(reading)


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
