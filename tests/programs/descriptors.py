"""Running processes that can open nothing for a while: no socket, no file, no accepted connection (EMFILE)."""

import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_STANDARD = 4
"""The standard descriptors and one more are always open, so that no lower number is ever free."""


@contextmanager
def without_descriptors(pids: Iterable[int], *, by_count: bool = False) -> Iterator[None]:
    """Leaves processes of ours no free file descriptor while the block runs; those that are open stay open.

    Args:
        pids: The processes.
        by_count: Bound them by the number that each has open. The kernel refuses a `poll` over more descriptors than
            the bound, which no process that met the bound by itself could ask for.
    """
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
    for pid, (_, hard) in limits.items():
        bound = len(list(Path(f"/proc/{pid}/fd").iterdir())) if by_count else _STANDARD
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (bound, hard))
    try:
        yield
    finally:
        for pid, limit in limits.items():
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
