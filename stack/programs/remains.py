"""Waits for programs whose supervisor was killed: the death of their parent is their signal to stop."""

from collections.abc import Iterable

import psutil


def outlast(pids: Iterable[int], timeout_seconds: float) -> None:
    """Waits until processes have ended, and kills those that have not in time. Safe to call again: yes.

    Args:
        pids: Processes that we started, and that stop because their parent has died.
        timeout_seconds: How long they may take.
    """
    remains = []
    for pid in pids:
        try:
            remains.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(remains, timeout=timeout_seconds)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=timeout_seconds)
