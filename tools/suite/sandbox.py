"""Runs programs so that nothing of them stays: no process, whichever started it, and no temporary file.

The kernel hands a process whose parent has died to the nearest "subreaper" among its ancestors, here the runner. So
everything that tests start, and everything that those programs start, ends as a child of the runner, even if it has a
session of its own and an emptied environment.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Self

import psutil

from stack.programs.program import TETHER
from stack.programs.tether import prctl

PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.05
# An interrupted pytest tears down its fixtures, a whole mesh among them.
STOP_SECONDS = 90.0
# Descendants that stop because their parent died, then those that get a signal, then those that are killed.
LAST_STEPS = ((None, 5.0), (signal.SIGTERM, 20.0), (signal.SIGKILL, 10.0))
# The databases of tests that are not about durability fit in here: on a disk each new one waits for the others' writes.
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder is made by mkdtemp
MEMORY_BYTES = 4 << 30
MEMORY_VARIABLE = "TESTS_IN_MEMORY"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def tethered(command: Sequence[str], stop_signal: str = "TERM") -> tuple[str, ...]:
    """Return the command that starts a program bound to the life of this process.

    Args:
        command: Program and arguments.
        stop_signal: The signal that the program gets when this process dies, without "SIG".
    """
    return (sys.executable, "-I", "-S", str(TETHER), "--signal", stop_signal, "--", *command)


def memory_is_roomy() -> bool:
    """Says whether the machine has a folder in memory, and enough of it for tests' databases."""
    if not IN_MEMORY.is_dir() or not os.access(IN_MEMORY, os.W_OK):
        return False
    free = min(shutil.disk_usage(IN_MEMORY).free, psutil.virtual_memory().available)
    return free >= MEMORY_BYTES


class Sandbox:
    """A temporary folder, and the processes that work in it. Its block ends when none of them lives.

    SIGINT, SIGTERM and SIGHUP do not end the block at once: they interrupt the program that runs, as Ctrl-C would.

    Attributes:
        folder: The temporary folder, which programs find as TMPDIR.
        memory: A temporary folder in memory, which programs find as TESTS_IN_MEMORY; `folder` where memory is scarce.
        is_interrupted: Whether such a signal came.
    """

    def __init__(self) -> None:
        self.is_interrupted = False

    def __enter__(self) -> Self:
        # The path is short, because it begins the paths of unix sockets; other users may pass it: PostgreSQL is one.
        self.folder = _open_folder(None)
        self.memory = _open_folder(IN_MEMORY) if memory_is_roomy() else self.folder
        self._handlers = {number: signal.signal(number, self._interrupt) for number in STOP_SIGNALS}
        if sys.platform.startswith("linux"):
            prctl(PR_SET_CHILD_SUBREAPER, 1)
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as last:  # each step runs whatever the steps before it raise
            for number, handler in self._handlers.items():
                last.callback(signal.signal, number, handler)
            last.callback(shutil.rmtree, self.folder)
            if self.memory != self.folder:
                last.callback(shutil.rmtree, self.memory)  # the first: memory is scarcer than disk
            _end_descendants()

    def run(self, command: Sequence[str], timeout_seconds: float) -> int:
        """Runs a program to its end.

        Args:
            command: Program and arguments. It gets SIGINT when this process dies.
            timeout_seconds: The program is interrupted when it takes longer.

        Returns:
            Its exit code, or the negative number of the signal that ended it.
        """
        process = subprocess.Popen(
            tethered(command, "INT"),
            env=_environment() | {"TMPDIR": str(self.folder), MEMORY_VARIABLE: str(self.memory)},
            stdin=subprocess.DEVNULL,
            # Ctrl-C reaches the runner alone, which passes it on once.
            process_group=0,
        )
        code = self._reaped(process.pid, timeout_seconds, heeds_signals=True)
        for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
            if code is None:
                os.killpg(process.pid, number)
                code = self._reaped(process.pid, seconds)
        # subprocess must not wait for what is reaped already.
        process.returncode = -signal.SIGKILL if code is None else code
        return process.returncode

    def _reaped(self, pid: int, timeout_seconds: float, *, heeds_signals: bool = False) -> int | None:
        """Reaps every child that ends until this one does; returns its exit code, or None when it goes on."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline and not (heeds_signals and self.is_interrupted):
            ended, status = os.waitpid(-1, os.WNOHANG)
            if ended == pid:
                return os.waitstatus_to_exitcode(status)
            if not ended:
                time.sleep(POLL_SECONDS)
        return None

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self.is_interrupted = True


def _open_folder(parent: Path | None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="mt-", dir=parent))
    folder.chmod(0o711)
    return folder


def _environment() -> dict[str, str]:
    """Return this process's environment, in which Python keeps the modules that it compiled.

    Tests start hundreds of programs, and each would compile all modules of the project again.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _end_descendants() -> None:
    for number, seconds in LAST_STEPS:
        if number is not None:
            for process in psutil.Process().children(recursive=True):
                _send(process, number)
        if _no_child_is_left(seconds):
            return


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        print(f"left behind, ended now: {' '.join(process.cmdline()) or process.name()}")
        process.send_signal(number)
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return


def _no_child_is_left(timeout_seconds: float) -> bool:
    """Reaps children until none is left: then there is no descendant either, since each would have become a child."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if not ended:
            time.sleep(POLL_SECONDS)
    return False
