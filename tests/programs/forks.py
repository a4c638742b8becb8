"""Programs of ours in Python as forks of one process, which has imported their libraries once.

A test that starts a service, the simulated providers or the command line would spend most of its time on their
imports, and so would hundreds of others. Each process of tests has one server that forks, as supervisord does in
production (`stack/supervision/nursery.py`). A fork is a process like any other: with a pid, an exit code, signals,
a log, variables of its own, and the code of the program from its first line. Commands that are not ours, or that need
more of `subprocess` than files, folder, variables and session, start by exec as ever.

`python -m tests.programs.forks FD` is the server; it ends with the process of the tests.
"""

import importlib
import inspect
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from stack.programs import tether
from stack.supervision import nursery
from tools.suite.sandbox import tethered

MORE_LIBRARIES = ("alembic.command", "jinja2", "rich.console", "sqlalchemy.ext.asyncio", "supervisor.xmlrpc", "typer")
OURS = ("gateway", "services", "simulator", "stack")
# These start without a tether, too.
COMMAND_LINE = tuple((sys.executable, "-m", name) for name in ("stack", "simulator", "tests.programs.forked"))
MESSAGE_BYTES = 1 << 17
NOT_NEEDED: dict[str, tuple[Any, ...]] = {
    "preexec_fn": (None,),
    "pass_fds": ((), []),
    "shell": (False,),
    "uid": (None,),
    "process_group": (-1,),
}
"""Parameters of `subprocess.Popen` that a fork does not serve, with the values that ask for nothing."""


def forkable(command: object) -> Namespace | None:
    """Return how to run a command as a fork, and None if it must start by exec."""
    if not isinstance(command, (list, tuple)) or not all(isinstance(word, str) for word in command):
        return None
    if nursery.CAN_FORK and tuple(command[:3]) in COMMAND_LINE:
        return Namespace(program=list(command), environment=None, user=None, signal="TERM")
    options = nursery.forkable(command)
    if options is None:
        return None
    is_ours = tuple(options.program[:3]) in COMMAND_LINE or options.program[2].partition(".")[0] in OURS
    return options if is_ours else None


class Server:
    """The process that forks.

    Args:
        command: Starts it; the number of its socket follows. None forks this process, which has imported everything.
    """

    def __init__(self, command: Sequence[str] | None) -> None:
        self._own, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with others:
            if command is None:
                self._fork_here(others)
            else:
                started = tethered((*command, str(others.fileno())), "KILL")
                self._process = subprocess.Popen(started, stdin=subprocess.DEVNULL, pass_fds=(others.fileno(),))

    def _fork_here(self, others: socket.socket) -> None:
        parent = os.getpid()
        if os.fork() == 0:
            self._own.close()
            tether.die_with_parent(parent, signal.SIGKILL)
            try:
                serve(others)
            finally:
                os._exit(0)

    def fork(self, fds: Sequence[int], **request: Any) -> int:
        """Start a program whose standard files are the three descriptors, and return its process id."""
        return int(self._ask(request, fds))

    def status(self, pid: int) -> int | None:
        """Return the wait status of a program that has ended, and None while it runs."""
        status: int | None = self._ask({"ended": pid}, ())
        return status

    def close(self) -> None:
        """End the server, and thereby its programs."""
        self._own.close()
        self._process.wait()

    def _ask(self, request: dict[str, Any], fds: Sequence[int]) -> Any:
        with self._lock:
            socket.send_fds(self._own, [json.dumps(request).encode()], list(fds))
            return json.loads(self._own.recv(MESSAGE_BYTES))


@cache
def server() -> Server:
    """Return this process's server, which starts at its first use."""
    return Server((sys.executable, "-m", "tests.programs.forks"))


def fork_from_here() -> None:
    """Fork programs of ours from this process, which is a fork itself, has one thread and does nothing yet."""
    if not nursery.CAN_FORK:
        return
    own = Server(None)
    globals()["server"] = lambda: own
    subprocess.Popen = ForkingPopen  # type: ignore[misc]


class ForkingPopen(subprocess.Popen):  # type: ignore[type-arg]
    """`subprocess.Popen` that lets the server fork what can be a fork."""

    _is_fork = False

    def _execute_child(self, args: Any, *rest: Any) -> None:
        asked = _SIGNATURE.bind(self, args, *rest).arguments
        if forkable(args) is None or any(asked[name] not in values for name, values in NOT_NEEDED.items()):
            super()._execute_child(args, *rest)  # type: ignore[misc]
            return
        self._is_fork = True
        pipes = [asked[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")]
        own = (pipes[0], pipes[3], pipes[5])
        self.pid = server().fork(
            [standard if given == -1 else given for given, standard in zip(own, range(3), strict=True)],
            command=list(args),
            folder=str(asked["cwd"] or Path.cwd()),
            variables=dict(os.environ if asked["env"] is None else asked["env"]),
            is_leader=bool(asked["start_new_session"]),
        )
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    @override
    def _internal_poll(self, *args: Any, **more: Any) -> int | None:  # type: ignore[misc]
        if not self._is_fork:
            return super()._internal_poll(*args, **more)  # type: ignore[misc,no-any-return]
        if self.returncode is None and (status := server().status(self.pid)) is not None:
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if not self._is_fork:
            return super()._try_wait(wait_flags)  # type: ignore[misc,no-any-return]
        if not wait_flags & os.WNOHANG:
            self._outlast()
        status = server().status(self.pid)
        return (0, 0) if status is None else (self.pid, status)

    def _outlast(self) -> None:
        descriptor = os.pidfd_open(self.pid)
        try:
            ending = select.poll()
            ending.register(descriptor, select.POLLIN)
            ending.poll()
        finally:
            os.close(descriptor)


_SIGNATURE = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]


@pytest.fixture(scope="session", autouse=True)
def forks() -> Iterator[None]:
    """Programs of ours start as forks for the whole session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", ForkingPopen)
        yield
    if server.cache_info().currsize:
        server().close()


def serve(door: socket.socket) -> None:
    """Answer requests until the other side is gone."""
    while True:
        message, fds, _, _ = socket.recv_fds(door, MESSAGE_BYTES, 3)
        if not message:
            return
        request = json.loads(message)
        answer = _ended(request["ended"]) if "ended" in request else _fork(door, request, fds)
        door.send(json.dumps(answer).encode())


def _ended(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return status if found else None


def _fork(door: socket.socket, request: dict[str, Any], fds: list[int]) -> int:
    pid = os.fork()
    if pid == 0:
        door.close()
        _become(request, fds)
    for fd in fds:
        os.close(fd)
    return pid


def _become(request: dict[str, Any], fds: list[int]) -> None:
    for standard, fd in enumerate(fds):
        os.dup2(fd, standard)
    for fd in fds:
        os.close(fd)
    if request["is_leader"]:
        os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["variables"])
    options = forkable(request["command"])
    assert options is not None
    nursery.become(options.program[2], options)


def main() -> None:
    """Import what programs need, then serve."""
    nursery.warm()
    for name in MORE_LIBRARIES:
        importlib.import_module(name)
    with socket.socket(fileno=int(sys.argv[1])) as door:
        serve(door)


if __name__ == "__main__":
    main()
