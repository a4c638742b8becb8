"""supervisord with logs that stop nothing and programs in Python as its forks.

`python -m stack.supervision.daemon [--remove FOLDER] --configuration FILE`

supervisord's own handler fails with the disk: it prints the failure to standard error, which is on the same disk, and
ends by that; when it cannot rotate a log, it closes the pipe of the program. Here a log loses the output that it
cannot write, the programs run on, and the log continues by itself as soon as it can be written again.

A temporary folder that `mailmesh up` would remove is removed here when `mailmesh up` was killed.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from supervisor import loggers, options, supervisord
from typing_extensions import override

import services.meshkit.absent  # noqa: F401 - before structlog and httpx, which the programs share
from stack.supervision import nursery


class TolerantLog(loggers.RotatingFileHandler):  # type: ignore[misc] # supervisor has no types
    """A rotating log file that loses output while it cannot be written, and says afterwards how much was lost.

    Args:
        filename: The log file.
        mode: Always "a"; supervisord passes it.
        max_bytes: Size from which the file is rotated.
        backups: How many rotated files are kept.
    """

    def __init__(self, filename: str, mode: str, max_bytes: int, backups: int) -> None:
        loggers.Handler.__init__(self)
        self.baseFilename = filename
        self.mode = mode
        self.maxBytes = max_bytes
        self.backupCount = backups
        self.stream: Any = None
        self._lost = 0
        self._reason = ""
        self._open()

    @override
    def emit(self, record: loggers.LogRecord) -> None:
        try:
            self._ensure_open()
            self._tell_of_loss()
            self._write(self._encoded(record))
            self.doRollover()
        except (OSError, ValueError) as fault:
            # A ValueError is a file that a failed rotation has closed.
            self._lost += 1
            self._reason = str(fault)

    @override
    def doRollover(self) -> None:
        if self.stream is None or self.stream.tell() < self.maxBytes:
            return
        try:
            super().doRollover()
        finally:
            # supervisord opens the new file with a buffer, and after a failure it has none open.
            self.reopen()

    @override
    def reopen(self) -> None:
        self.close()
        self._open()

    @override
    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()
            self.stream = None

    @override
    def flush(self) -> None:
        """Does nothing: there is no buffer that a full disk could keep filled."""

    def _open(self) -> None:
        try:
            self._ensure_open()
        except OSError as fault:
            self._reason = str(fault)

    def _ensure_open(self) -> None:
        if self.stream is None:
            self.stream = Path(self.baseFilename).open("ab", buffering=0)  # noqa: SIM115 - it stays open

    def _tell_of_loss(self) -> None:
        if not self._lost:
            return
        event = {"event": "output lost", "pieces": self._lost, "reason": self._reason}
        self._write(json.dumps(event).encode() + b"\n")
        self._lost = 0

    def _write(self, data: bytes) -> None:
        # A disk that fills up takes a part of it first.
        while data:
            data = data[self.stream.write(data) :]

    def _encoded(self, record: loggers.LogRecord) -> bytes:
        if self.fmt == "%(message)s" and isinstance(record.msg, bytes):
            return record.msg
        text: str = self.fmt % record.asdict()
        return text.encode("utf-8", "replace")


class ForkingOptions(options.ServerOptions):  # type: ignore[misc] # supervisor has no types
    """supervisord's dealings with the system; a program in Python is a fork that goes on, without exec.

    The shared modules are imported before the first fork: PostgreSQL and Redis start meanwhile.
    """

    @override
    def check_execv_args(self, filename: str, argv: list[str], st: Any) -> None:
        super().check_execv_args(filename, argv, st)
        if nursery.forkable(argv) is not None:
            nursery.warm()

    @override
    def execve(self, filename: str, argv: list[str], env: dict[str, str]) -> None:
        program = nursery.forkable(argv)
        if program is not None and nursery.is_current():
            nursery.become(env["SUPERVISOR_PROCESS_NAME"], program)
        super().execve(filename, argv, env)


def main() -> None:
    """Runs supervisord in the foreground."""
    loggers.RotatingFileHandler = TolerantLog
    supervisord.ServerOptions = ForkingOptions
    parent, arguments = os.getppid(), sys.argv[1:]
    folder = arguments[1] if arguments[:1] == ["--remove"] else None
    try:
        supervisord.main(arguments[2:] if folder else arguments)
    finally:
        if folder and os.getppid() != parent:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
