"""The launcher's handle on supervisord: starts, commands, watches and stops it."""

import http.client
import subprocess
import sys
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import Faults
from typing_extensions import override

from stack.errors import StartError
from stack.programs.program import Program
from stack.programs.running import wait_until
from stack.programs.tether import machine_environment
from stack.unix_http import UnixConnection

UNREACHABLE = (OSError, http.client.HTTPException)
START_SECONDS = 60.0
# The first program in Python waits until the modules of all are imported: long on a busy machine that compiles them.
CALL_SECONDS = 60.0


@dataclass(frozen=True)
class ProcessState:
    """The state of a program in supervisord.

    Attributes:
        name: The program's name.
        pid: Its process id; 0 while it does not run.
        state: supervisord's word: RUNNING, STARTING, BACKOFF, FATAL, EXITED, STOPPED, STOPPING.
        description: A few words for people.
    """

    name: str
    pid: int
    state: str
    description: str

    @property
    def is_given_up(self) -> bool:
        """Whether supervisord has stopped trying."""
        return self.state in ("FATAL", "EXITED", "STOPPED", "UNKNOWN")


class Supervisor:
    """A supervisord process.

    Args:
        configuration: Its configuration file.
        door: The unix socket that the configuration names.
        log: File for its output before it opens its own log.
        stop_seconds: How long everything may take to stop.
        inherited: File descriptors that stay open in it, such as a lock that must last as long as its programs.
        temporary: Folder that it removes at its end when our own process was killed and cannot do it.
    """

    def __init__(
        self,
        configuration: Path,
        door: Path,
        log: Path,
        stop_seconds: float,
        inherited: tuple[int, ...] = (),
        temporary: Path | None = None,
    ) -> None:
        self._temporary = temporary
        self._inherited = inherited
        self._configuration = configuration
        self.door = door
        self._log = log
        self._stop_seconds = stop_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: dict[str, str] = {}

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id; 0 before the first start."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Starts supervisord, without any program yet, and waits until it listens.

        Raises:
            StartError: It ended, or did not listen in time.
        """
        removing = () if self._temporary is None else ("--remove", str(self._temporary))
        daemon = (sys.executable, "-m", "stack.supervision.daemon", *removing)
        command = (*daemon, "--configuration", str(self._configuration))
        tethered = Program("supervisor", command, is_ready=bool).tethered_command()
        with self._log.open("ab") as output:
            # A session of its own: Ctrl-C in the terminal is for `mailmesh up`, which stops the others in order.
            self._process = subprocess.Popen(
                tethered,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=self._inherited,
                # Its forks show its own variables to the system, so no secret may be among them.
                env=machine_environment(),
            )
        if not wait_until(lambda: self._answers() or not self.is_running, START_SECONDS) or not self.is_running:
            raise StartError(f"the supervisor did not start; see {self._log}")

    def start_program(self, name: str) -> None:
        """Starts a program and does not wait for it; `states` tells when that fails. Safe to call again: yes."""
        try:
            self._call("startProcess", self._full_name(name), False)  # noqa: FBT003 - XML-RPC has no names
        except xmlrpc.client.Fault as fault:
            # After a spawn error supervisord tries again by itself.
            if fault.faultCode not in (Faults.ALREADY_STARTED, Faults.SPAWN_ERROR):
                raise

    def stop_program(self, name: str) -> None:
        """Stops a program and waits for it. Safe to call again: yes."""
        try:
            self._call("stopProcess", self._full_name(name))
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != Faults.NOT_RUNNING:
                raise

    def states(self) -> dict[str, ProcessState]:
        """Returns the state of each program; empty while supervisord does not answer, or only that it shuts down."""
        try:
            found = self._call("getAllProcessInfo")
        except (*UNREACHABLE, xmlrpc.client.Error):
            return {}
        return {
            info["name"]: ProcessState(info["name"], info["pid"], info["statename"], info["description"])
            for info in found
        }

    def stop(self) -> None:
        """Stops all programs, the last started first, and supervisord itself. Safe to call again: yes."""
        if self._process is None:
            return
        try:
            self._call("shutdown")
        except (*UNREACHABLE, xmlrpc.client.Fault):
            # Its socket is gone, or it is stopping already: the signal means the same.
            self._process.terminate()
        try:
            self._process.wait(self._stop_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _full_name(self, name: str) -> str:
        if not self._groups:
            self._groups = {info["name"]: info["group"] for info in self._call("getAllProcessInfo")}
        return f"{self._groups[name]}:{name}"

    def _answers(self) -> bool:
        try:
            self._call("getState")
        except (*UNREACHABLE, xmlrpc.client.Error):
            return False
        return True

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = _UnixTransport(self.door)
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a unix socket."""

    def __init__(self, door: Path) -> None:
        super().__init__()
        self._door = door

    @override
    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = UnixConnection(self._door, CALL_SECONDS)
        # Kept where the transport's own `close` finds it.
        self._connection = host, connection
        return connection
