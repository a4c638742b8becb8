"""Workers as processes of their own, to be killed, frozen and thawed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.store.processor.ground import Ground


@contextmanager
def worker_process(
    ground: Ground, folder: Path, *, module: str = "services.processor", argument: str = "work", **changed: Any
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `python -m services.processor work`, or another program that is a worker, for the length of a block."""
    log = folder / "worker.log"
    environment = {**os.environ, **ground.worker_environment(**changed), "MAILMESH_LOG_LEVEL": "info"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            (sys.executable, "-m", module, argument),
            env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()


async def end_holds(ground: Ground) -> None:
    """End the leases of workers that died, as they end by themselves at their expiry."""
    await ground.ingest.execute(
        "UPDATE ingest.mailboxes SET lease_until = now(), next_due_at = now() WHERE lease_until IS NOT NULL"
    )


def log_of(folder: Path) -> str:
    """Return the log entries of a test's workers."""
    return (folder / "worker.log").read_text()
