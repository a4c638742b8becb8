"""Runs one program directly: for tests, and for commands that come to an end."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from stack.programs.program import Program
from stack.programs.remains import outlast

POLL_SECONDS = 0.02
LOG_TAIL_BYTES = 4000
CHILDREN_SECONDS = 10.0


class ProgramError(Exception):
    """A program ended or did not become ready. Carries the end of its log."""


class RunningProgram:
    """A program that was started here and ends with this process at the latest."""

    def __init__(self, program: Program, log: Path, environment_file: Path | None = None) -> None:
        """Starts the program, its output appended to the log file.

        Args:
            program: The program to run.
            log: Its log file.
            environment_file: Where its variables are put, secrets included; beside the log by default.
        """
        self.program = program
        self.log = log
        self._environment_file = environment_file or log.with_suffix(".env.json")
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Its exit code; the negative number of the signal that ended it; None while it runs."""
        return self._process.poll()

    def wait_until_ready(self) -> None:
        """Waits until the program says that it is ready.

        Raises:
            ProgramError: It ended, or was not ready within its `ready_seconds`.
        """
        deadline = time.monotonic() + self.program.ready_seconds
        while not self.program.is_ready():
            if not self.is_running:
                raise ProgramError(f"{self.program.name} ended with {self.exit_code}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ProgramError(f"{self.program.name} is not ready in time:\n{self.log_tail()}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Stops the program cleanly, or kills it when it takes too long. Safe to call again: yes."""
        self.send(signal.Signals[f"SIG{self.program.stop_signal}"])
        try:
            self._process.wait(self.program.stop_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kills the program as a power cut would, and outlasts its children. Safe to call again: yes."""
        children = self._children()
        self.send(signal.SIGKILL)
        self._process.wait()
        # PostgreSQL's end by themselves when they notice, and until then no new server can use the same data.
        outlast(children, CHILDREN_SECONDS)

    def restart(self) -> None:
        """Starts the program again after `stop` or `kill` and waits until it is ready."""
        if self.is_running:
            self.stop()
        self._process = self._start()
        self.wait_until_ready()

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the program, if it still runs."""
        if self.is_running:
            self._process.send_signal(number)

    def log_tail(self) -> str:
        """Returns the end of the program's log."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace")

    def _children(self) -> list[int]:
        try:
            return [child.pid for child in psutil.Process(self.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _start(self) -> subprocess.Popen[bytes]:
        self.program.write_environment(self._environment_file)
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self.program.tethered_command(self._environment_file),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(os.environ),
                start_new_session=True,
            )


@contextlib.contextmanager
def running(program: Program, log_folder: Path) -> Iterator[RunningProgram]:
    """Runs a program for the length of a block: ready at its beginning, stopped at its end.

    Args:
        program: The program to run.
        log_folder: An existing folder; the log is `<name>.log` in it.

    Raises:
        ProgramError: It did not become ready.
    """
    started = RunningProgram(program, log_folder / f"{program.name}.log")
    try:
        started.wait_until_ready()
        yield started
    finally:
        started.stop()


def run_to_end(program: Program, log: Path, timeout_seconds: float) -> None:
    """Runs a program that does its work and ends, such as a migration.

    Raises:
        ProgramError: It ended with another code than 0, or not in time.
    """
    started = RunningProgram(program, log)
    if not wait_until(lambda: not started.is_running, timeout_seconds):
        started.kill()
        raise ProgramError(f"{program.name} did not end in {timeout_seconds:g} s:\n{started.log_tail()}")
    if started.exit_code != 0:
        raise ProgramError(f"{program.name} ended with {started.exit_code}:\n{started.log_tail()}")


def wait_until(condition: Callable[[], bool], timeout_seconds: float, poll_seconds: float = POLL_SECONDS) -> bool:
    """Waits for a condition, asking again and again.

    Returns:
        Whether it came true in time.
    """
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(poll_seconds)
    return True
