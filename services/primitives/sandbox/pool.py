"""The processes that read content: started when needed, bounded in number, killed when they fail or take long."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from services.meshkit.errors import Overloaded
from services.meshkit.isolated import isolated_command
from services.primitives.failure import ContentError
from services.primitives.sandbox.child import ANSWER, HEAD
from services.primitives.sandbox.confine import Confinement

CHILD = "services.primitives.sandbox.child"
_USES = 1000
"""Mails after which a process is replaced."""
_MAX_ANSWER_BYTES = 16 * 1024 * 1024
# The edge gives a call 60 seconds: an answer of the service itself has to come before.
_SECONDS_IN_ALL = 55.0
_LEAST_PLACE_SECONDS = 5.0


@dataclass(frozen=True)
class SandboxLimits:
    """Bounds of the processes.

    Args:
        processes: Processes that read at the same time.
        seconds: Time for the reading of one content by the clock, with the start of a process.
        confinement: The bounds of each process.
    """

    processes: int
    seconds: float
    confinement: Confinement

    @property
    def place_seconds(self) -> float:
        """The longest wait for a process, before the time of the reading begins."""
        return min(self.seconds, max(_SECONDS_IN_ALL - self.seconds, _LEAST_PLACE_SECONDS))


class _Child:
    """One process, used by one call at a time."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", requests: asyncio.StreamWriter, answers: asyncio.StreamReader
    ) -> None:
        self._process = process
        self._requests = requests
        self._answers = answers
        self.uses = 0

    @classmethod
    async def start(cls, bounds: Confinement) -> "_Child":
        # The loop's own way forks, which runs gRPC's handlers of forks in the new process: they may end it before its
        # program begins. This way forks without handlers, and closes what the service has open.
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - a few milliseconds; this program, and nothing from outside
            isolated_command(CHILD, *bounds.words()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
        )
        loop, answers = asyncio.get_running_loop(), asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(answers), process.stdout)
        transport, protocol = await loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), process.stdin
        )
        return cls(process, asyncio.StreamWriter(transport, protocol, None, loop), answers)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    async def run(self, operation: str, content: bytes) -> bytes:
        """Run an operation on content. Raises ContentError."""
        self.uses += 1
        if not self._requests.is_closing():
            # A process that cannot read on says why in its answer.
            with suppress(BrokenPipeError, ConnectionResetError):
                self._requests.write(HEAD.pack(len(operation), len(content)) + operation.encode() + content)
                await self._requests.drain()
        try:
            is_read, length = ANSWER.unpack(await self._answers.readexactly(ANSWER.size))
            answer = await self._answers.readexactly(length) if length <= _MAX_ANSWER_BYTES else b""
        except asyncio.IncompleteReadError as exc:
            raise ContentError(_cause(await asyncio.to_thread(self._process.wait))) from exc
        if len(answer) != length:
            raise ContentError("too_large")
        if not is_read:
            raise ContentError(answer.decode("ascii", "replace")[:40])
        return answer

    async def end(self) -> None:
        """Kill the process with all that it may have started, and wait for its end. Safe to call again."""
        with suppress(ProcessLookupError, PermissionError):
            if self.is_alive:
                os.killpg(self._process.pid, signal.SIGKILL)
        await asyncio.to_thread(self._process.wait)
        self._requests.close()


def _cause(code: int) -> str:
    return "time" if code in (-signal.SIGPROF, -signal.SIGXCPU) else "crashed"


class Sandbox:
    """Reads content in processes without rights.

    Args:
        limits: The bounds.
    """

    def __init__(self, limits: SandboxLimits) -> None:
        self._limits = limits
        self._places = asyncio.Semaphore(limits.processes)
        self._idle: list[_Child] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, limits: SandboxLimits) -> AsyncIterator["Sandbox"]:
        """Open the sandbox, and end its processes behind the block."""
        sandbox = cls(limits)
        try:
            yield sandbox
        finally:
            while sandbox._idle:
                await sandbox._idle.pop().end()

    async def run(self, operation: str, content: bytes, *, is_alone: bool = False) -> bytes:
        """Run an operation on content; return its answer.

        Args:
            operation: A name of `child.OPERATIONS`.
            content: The bytes.
            is_alone: Use a process for this content alone.

        Raises:
            ContentError: The content cannot be read within the bounds. The time includes the start of a process.
            Overloaded: The contents of others took all processes for too long; this one was not read.
        """
        async with self._place():
            # The time that others took says nothing about this content.
            try:
                async with asyncio.timeout(self._limits.seconds):
                    return await self._read(operation, content, is_alone=is_alone)
            except TimeoutError as exc:
                raise ContentError("time") from exc

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Hold one of the places for processes. Raises Overloaded when none becomes free in time."""
        try:
            async with asyncio.timeout(self._limits.place_seconds):
                await self._places.acquire()
        except TimeoutError as exc:
            raise Overloaded(metadata={"bound": "contents"}) from exc
        try:
            yield
        finally:
            self._places.release()

    async def _read(self, operation: str, content: bytes, *, is_alone: bool) -> bytes:
        child = None if is_alone else self._living()
        child = child or await self._started()
        is_good = False
        try:
            answer = await child.run(operation, content)
            is_good = not is_alone and child.uses < _USES
        finally:
            if is_good:
                self._idle.append(child)
            else:
                await asyncio.shield(child.end())
        return answer

    async def _started(self) -> _Child:
        """Start a process, and end it if the call ends meanwhile."""
        starting = asyncio.ensure_future(_Child.start(self._limits.confinement))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.shield((await starting).end())
            raise

    def _living(self) -> _Child | None:
        """Take a process that waits for content; the system may have ended some of them meanwhile."""
        while self._idle:
            if (child := self._idle.pop()).is_alive:
                return child
        return None
