"""Watches a running stack: reports restarts, keeps ready.json up to date, renews certificates in time."""

import os
import threading
import time
import xmlrpc.client

from stack.data_directory import DataDirectory
from stack.errors import describe
from stack.ready import Ready
from stack.report import Report
from stack.supervision.supervisor import UNREACHABLE, ProcessState, Supervisor

POLL_SECONDS = 0.5
# supervisord gives up a program after about half a minute of attempts; from then on it is retried at this interval.
REVIVE_SECONDS = 15.0
# supervisord is asked this often while all processes live; the system shows a dead one at the next poll.
ASK_SECONDS = 5.0
CERTIFICATE_SECONDS = 3600.0
# After a failed write, such as on a full disk.
RETRY_SECONDS = 15.0


def is_alive(pid: int) -> bool:
    """Tell whether there is a process of that id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # It runs as another user.
        return True
    return True


class Watch:
    """Watches until `stop` is set or supervisord itself is gone.

    Args:
        supervisor: supervisord, with everything started.
        data: The data directory.
        ready: The content of ready.json.
        report: Receives the messages for the person at the terminal.
    """

    def __init__(self, supervisor: Supervisor, data: DataDirectory, ready: Ready, report: Report) -> None:
        self._supervisor = supervisor
        self._data = data
        self._ready = ready
        self._report = report
        self._ill: set[str] = set()
        self._next_revival: dict[str, float] = {}
        self._next_certificates = time.monotonic() + CERTIFICATE_SECONDS
        self._next_write = 0.0
        self._next_ask = 0.0
        self._is_written = True

    @property
    def processes(self) -> list[int]:
        """The processes that were seen last, our own excluded."""
        return [pid for pid in self._ready.processes.values() if pid != os.getpid()]

    def run(self, stop: threading.Event) -> None:
        """Watches; returns when it is time to stop or to start everything again."""
        while not stop.wait(POLL_SECONDS):
            if not self._supervisor.is_running:
                self._report.warn("the supervisor died and took its programs along: starting again")
                return
            if self._is_due():
                states = self._supervisor.states()
                for state in states.values():
                    self._check(state)
                self._refresh(states)
            self._renew_certificates()

    def _is_due(self) -> bool:
        """Tell whether supervisord must be asked: its answer costs a hundred times a check of the process ids."""
        now = time.monotonic()
        if self._is_written and not self._ill and now < self._next_ask and all(map(is_alive, self.processes)):
            return False
        self._next_ask = now + ASK_SECONDS
        return True

    def _check(self, state: ProcessState) -> None:
        known = self._ready.processes.get(state.name, 0)
        if state.is_given_up:
            self._revive(state)
        elif state.state == "BACKOFF" and state.name not in self._ill:
            self._ill.add(state.name)
            self._report.warn(f"{state.name} does not stay up: {state.description}; trying again")
        elif state.pid and known and state.pid != known:
            self._report.warn(f"{state.name} (process {known}) died and was restarted as process {state.pid}")
        elif state.state == "RUNNING" and state.name in self._ill:
            self._ill.discard(state.name)
            self._report.note(f"{state.name} is up again")

    def _revive(self, state: ProcessState) -> None:
        now = time.monotonic()
        if now < self._next_revival.get(state.name, 0.0):
            return
        self._next_revival[state.name] = now + REVIVE_SECONDS
        self._ill.add(state.name)
        self._report.warn(f"{state.name} is down ({state.description}); starting it again")
        try:
            self._supervisor.start_program(state.name)
        except (*UNREACHABLE, xmlrpc.client.Fault) as fault:
            self._report.warn(f"{state.name} cannot be started now ({fault}); trying again")

    def _refresh(self, states: dict[str, ProcessState]) -> None:
        running = {name: state.pid for name, state in states.items() if state.pid}
        processes = {"up": os.getpid(), "supervisor": self._supervisor.pid, **running}
        if states and processes != self._ready.processes:
            self._ready = self._ready.model_copy(update={"processes": processes})
            self._is_written = False
        if not self._is_written and time.monotonic() >= self._next_write:
            self._write_ready()

    def _write_ready(self) -> None:
        try:
            self._ready.write(self._data.ready_file)
            self._is_written = True
        except OSError as fault:
            self._next_write = time.monotonic() + RETRY_SECONDS
            self._report.warn(f"ready.json is out of date: {describe(fault)}; trying again")

    def _renew_certificates(self) -> None:
        if time.monotonic() < self._next_certificates:
            return
        self._next_certificates = time.monotonic() + CERTIFICATE_SECONDS
        try:
            renewed = self._data.certificates.ensure()
        except OSError as fault:
            self._next_certificates = time.monotonic() + RETRY_SECONDS
            self._report.warn(f"certificates cannot be renewed: {describe(fault)}; trying again")
            return
        if renewed:
            self._report.note(f"renewed certificates: {', '.join(renewed)}")
