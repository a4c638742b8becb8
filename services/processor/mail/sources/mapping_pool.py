"""Long mails are read in processes of their own: a mail that takes long or much memory harms that process alone."""

import asyncio
import json
import pickle
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from services.meshkit.isolated import isolated_command
from services.processor.mail.sources import batch_parts, long_json
from services.processor.mail.sources.mapped import MappedMessage
from services.processor.mail.sources.mapping_child import (
    ANSWER,
    MAPPINGS,
    list_detached,
    map_object,
    split_batch,
    write_pieces,
)
from services.processor.mail.sources.mapping_tasks import Task, has_many_members, longest_answer
from services.processor.mailbox.provider_http import JSON

CHILD = "services.processor.mail.sources.mapping_child"
MAX_CHILDREN = 2
"""One maps while the other one meets a hostile mail. More would take the processors of the other workers."""
MAX_WAITING = 200
"""Long mails that wait for a child; each occupies the memory of the provider's answer."""
_END_SECONDS = 5.0
_CLOSING_SECONDS = 0.5
_ATTEMPTS = 2

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class MappingLimits:
    """The bounds of a child.

    Args:
        cpu_seconds: Time of processor for one mail; the slowest known mail takes a fifth.
        deadline_seconds: Time for one mail by the clock, which also counts what the machine does for others.
        memory_bytes: Address space: the largest answer of a provider as text, as JSON and decoded, three times over.
        idle_seconds: Time after which an unused child is ended.
    """

    cpu_seconds: float = 10.0
    deadline_seconds: float = 30.0
    memory_bytes: int = 1536 * 1024 * 1024
    idle_seconds: float = 60.0


class MappingError(Exception):
    """A long mail was not mapped.

    Args:
        word: The cause, for metrics and failures.
        is_passing: Another attempt may succeed, because the cause lies outside of the mail.
    """

    def __init__(self, word: str, *, is_passing: bool) -> None:
        super().__init__(word)
        self.word = word
        self.is_passing = is_passing

    @property
    def outcome(self) -> str:
        """The cause as one of a few words, for metrics."""
        return self.word.removeprefix("mapping_") if self.word.startswith("mapping_") else "failed"


class _EndedError(Exception):
    """The child ended before it answered."""


class _Child:
    """One process, used by one thread at a time."""

    def __init__(self, limits: MappingLimits) -> None:
        self.used_at = time.monotonic()
        self._deadline_seconds = limits.deadline_seconds
        self._process = subprocess.Popen(  # noqa: S603 - this program, and nothing from outside
            isolated_command(CHILD, str(limits.cpu_seconds), str(limits.memory_bytes)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={},
        )

    def run(self, task: Task) -> bytes:
        """Run a task; return its answer.

        Raises:
            MappingError: The object cannot be read.
            _EndedError: The child ended.
        """
        timer = threading.Timer(self._deadline_seconds, self._process.kill)
        timer.start()
        try:
            is_done, answer = self._exchange(task)
        finally:
            timer.cancel()
            self.used_at = time.monotonic()
        if not is_done:
            raise MappingError(answer.decode("ascii", "replace")[:100], is_passing=False)
        return answer

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def kill(self) -> None:
        """Kill the process; the thread that uses it learns of it."""
        self._process.kill()

    def end(self, *, at_once: bool = False) -> int:
        """End the process; return its code, negative for a signal."""
        if at_once and not self._has_ended():
            self._process.kill()
        try:
            self._process.communicate(timeout=_END_SECONDS)  # closes its input, at which it ends
        except (subprocess.TimeoutExpired, ValueError, OSError):
            self._process.kill()
        return self._process.wait()

    def _has_ended(self) -> bool:
        """Wait a moment for a process that has closed its pipe: its own code tells more than that of a kill."""
        try:
            self._process.wait(_CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _exchange(self, task: Task) -> tuple[bool, bytes]:
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None and answers is not None  # noqa: PT018, S101 - both are pipes
        try:
            # The bytes of a long answer are written as they are, without the interpreter's lock.
            pickle.dump((task.operation, task.arguments), requests, protocol=5)
            requests.flush()
        except BrokenPipeError:
            pass  # a child that cannot read a request to its end says why in its answer
        head = answers.read(ANSWER.size)
        is_done, length = ANSWER.unpack(head) if len(head) == ANSWER.size else (False, -1)
        answer = answers.read(length) if 0 <= length <= task.max_bytes else b""
        if len(answer) != length:
            raise _EndedError
        return is_done, answer


class MappingPool:
    """The children of a worker: at most two, started when they are needed, ended when they are not.

    It belongs to no event loop, and it may be used again after its end.

    Args:
        limits: The bounds of each child.
    """

    def __init__(self, limits: MappingLimits | None = None) -> None:
        self.limits = limits or MappingLimits()
        self._threads = ThreadPoolExecutor(MAX_CHILDREN, thread_name_prefix="long-mails")
        self._lock = threading.Lock()
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._ends = 0
        self._waiting = 0

    async def map(
        self, provider: str, raw: JSON | bytes, bodies: Mapping[str, str | bytes] | None = None
    ) -> MappedMessage:
        """Map a provider's object in a child.

        Args:
            provider: A provider that `mapping_child.MAPPINGS` has.
            raw: The object, or the provider's answer with it; an object must not be changed until the call returns.
            bodies: The bodies that Gmail holds back, by attachment id: their base64, or the provider's answer with it.

        Raises:
            MappingError: The object cannot be mapped, takes too long, or ended its child twice; or too many wait.
        """
        if provider not in MAPPINGS:
            raise MappingError("mapping_unknown", is_passing=False)
        return await self._run(Task(map_object.__name__, (provider, raw, bodies or {})), MappedMessage.from_bytes)

    async def detached(self, raw: bytes) -> list[str]:
        """List the bodies that Gmail holds back of a mail, in a child; return their attachment ids.

        Args:
            raw: The provider's answer with the mail.

        Raises:
            MappingError: See `map`.
        """
        task = Task(list_detached.__name__, (raw,), max_bytes=longest_answer(raw))
        return await self._run(task, lambda answer: [str(found) for found in json.loads(answer)])

    async def responses(self, raw: bytes) -> list[JSON]:
        """Take apart the answer of a batch of Graph, in a child; return its responses, with long bodies as bytes.

        Args:
            raw: The provider's answer.

        Raises:
            MappingError: See `map`.
        """
        task = Task(split_batch.__name__, (raw,), max_bytes=longest_answer(raw))
        return await self._run(task, batch_parts.read)

    async def parsed(self, raw: bytes) -> JSON:
        """Read an answer of any kind, in a child; its pieces are put together in a thread, beside the event loop.

        Args:
            raw: The provider's answer.

        Raises:
            MappingError: See `map`.
        """
        task = Task(write_pieces.__name__, (raw,), max_bytes=longest_answer(raw))
        found: JSON = await self._run(task, long_json.read)
        return found

    async def _run(self, task: Task, read: Callable[[bytes], _Result]) -> _Result:
        if self._waiting >= MAX_WAITING:
            raise MappingError("mapping_busy", is_passing=True)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._result, task, read)
        finally:
            self._waiting -= 1

    async def round(self) -> int:
        """End the children that were not used for a time. Returns 0, since no more is due now."""
        await asyncio.get_running_loop().run_in_executor(None, self._end_idle)
        return 0

    def _end_idle(self) -> None:
        oldest = time.monotonic() - self.limits.idle_seconds
        with self._lock:
            ended = [child for child in self._idle if child.used_at <= oldest]
            self._idle = [child for child in self._idle if child.used_at > oldest]
        for child in ended:
            child.end()

    def end(self) -> None:
        """End all children at once. Mails that they were mapping fail, to be mapped by another worker."""
        with self._lock:
            self._ends += 1
            busy, idle, self._idle = set(self._busy), self._idle, []
        for child in busy:
            child.kill()  # the thread that waits for it ends it
        for child in idle:
            child.kill()
            child.end()

    @property
    def pids(self) -> list[int]:
        """The process ids of the children."""
        with self._lock:
            return [child.pid for child in (*self._idle, *self._busy)]

    def _result(self, task: Task, read: Callable[[bytes], _Result]) -> _Result:
        """Run a task, and read its answer. Raises `MappingError`."""
        try:
            return read(self._answer(task))
        except ValueError as exc:
            raise MappingError("mapping_answer_malformed", is_passing=False) from exc

    def _answer(self, task: Task) -> bytes:
        """Run a task; a child that ends meanwhile gets one successor, since its end may have nothing to do with it.

        Raises:
            MappingError: See `map`.
        """
        ends, given, code = self._ends, task.without_depths() if has_many_members(task.arguments) else task, 0
        for _ in range(_ATTEMPTS):
            child = self._take()
            try:
                answer = child.run(given)
            except _EndedError:
                code = self._discard(child)
            except RecursionError:  # the object is deeper than a pickle goes
                self._discard(child)
                given = task.without_depths()
            except BaseException:
                self._discard(child)
                raise
            else:
                self._give_back(child)
                return answer
            if code == -signal.SIGPROF:
                raise MappingError("mapping_took_too_long", is_passing=False)
            if self._ends != ends:
                break
        raise MappingError("mapping_process_ended", is_passing=code in (0, -signal.SIGKILL, -signal.SIGTERM))

    def _take(self) -> _Child:
        with self._lock:
            child = self._idle.pop() if self._idle else None
        try:
            child = child or _Child(self.limits)
        except OSError as exc:
            raise MappingError("mapping_process_not_started", is_passing=True) from exc
        with self._lock:
            self._busy.add(child)
        return child

    def _give_back(self, child: _Child) -> None:
        with self._lock:
            self._busy.discard(child)
            self._idle.append(child)

    def _discard(self, child: _Child) -> int:
        with self._lock:
            self._busy.discard(child)
        return child.end(at_once=True)
