"""No process, no port and no file but the data stays, however `mailmesh up` or `mailmesh demo` ends, and when."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.programs.mesh import eventually

pytestmark = pytest.mark.timeout(400)
READY_SECONDS, GONE_SECONDS = 150.0, 90.0
# Too long for the path of a socket: the sockets go to a temporary folder.
DEEP = "a-folder-whose-name-is-so-long-that-no-unix-socket-fits-into-it-any-more-on-any-system"


@dataclass
class Family:
    """A command with all processes that it has ever started, as far as they were seen, and their ports."""

    process: "subprocess.Popen[bytes]"
    temporary: Path
    seen: set[psutil.Process] = field(default_factory=set)
    ports: set[int] = field(default_factory=set)

    def look(self) -> int:
        """Remembers who runs and listens now; returns how many programs there are."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self.seen |= set(psutil.Process(self.process.pid).children(recursive=True))
        for one in self.seen:
            with contextlib.suppress(psutil.NoSuchProcess):
                listening = [at for at in one.net_connections("tcp") if at.status == psutil.CONN_LISTEN]
                self.ports |= {at.laddr.port for at in listening}
        return len(self.seen)

    def alive(self) -> list[psutil.Process]:
        return [one for one in self.seen if _is_alive(one)]

    def is_ready(self) -> bool:
        self.look()
        return any(self.temporary.parent.glob("**/ready.json"))


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False


@pytest.fixture
def place(short_folder: Path) -> Iterator[Path]:
    """A folder with an own place for temporary files in it."""
    folder = short_folder / "left"
    (folder / "tmp").mkdir(parents=True)
    folder.chmod(0o711)
    (folder / "tmp").chmod(0o1777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def start(place: Path, *arguments: str) -> Family:
    words = (sys.executable, "-m", "stack", *arguments)
    environment = {**os.environ, "TMPDIR": str(place / "tmp")}
    with (place / "output").open("wb") as output:
        process = subprocess.Popen(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    return Family(process, place / "tmp")


@pytest.mark.parametrize(
    ("command", "moment", "number"),
    [
        ("up", "while it starts", signal.SIGINT),
        ("up", "while it starts", signal.SIGKILL),
        ("up", "when it is ready", signal.SIGTERM),
        ("up", "when it is ready", signal.SIGKILL),
        ("demo", "while it starts", signal.SIGTERM),
        ("demo", "when it is ready", signal.SIGINT),
        ("demo", "when it is ready", signal.SIGKILL),
    ],
)
def test_nothing_is_left(place: Path, command: str, moment: str, number: signal.Signals) -> None:
    options = ("--data", str(place / DEEP), "--http-port", "0") if command == "up" else ()
    family = start(place, command, *options)
    if moment == "when it is ready":
        eventually(family.is_ready, READY_SECONDS, what="ready")
    else:
        # PostgreSQL, Redis and Envoy's configuration are on their way.
        eventually(lambda: family.look() >= 4, READY_SECONDS, what="four processes")
    family.look()
    family.process.send_signal(number)
    family.process.wait(GONE_SECONDS)

    eventually(lambda: not family.alive(), GONE_SECONDS, what="all processes gone")
    eventually(lambda: not any(family.temporary.iterdir()), 10.0, what="all temporary files gone")
    listening = {at.laddr.port for at in psutil.net_connections("tcp") if at.status == psutil.CONN_LISTEN}
    assert family.ports & listening == set()
    assert "Traceback" not in (place / "output").read_text()
