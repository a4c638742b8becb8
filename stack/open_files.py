"""The bound on open files, which every program of the stack inherits from `mailmesh up`."""

import resource

from stack.errors import StackError

WANTED = 8192
NEEDED = 1024
"""PostgreSQL, Envoy and supervisord fail one after the other below this, each in its own words."""

RESERVED = 1024
"""Open files that connections from outside leave to the edge: connections to services, certificates, checks."""
MOST_CONNECTIONS = 10_000


def raise_open_files() -> None:
    """Raises the bound on open files as far as this process may, for itself and the programs that it starts.

    Raises:
        StackError: Even the highest bound is too low.

    Safe to call again: yes.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if most < NEEDED:
        raise StackError(
            f"only {hard} open files are allowed here and mailmesh needs {NEEDED}: allow {WANTED} with"
            f" `ulimit -n {WANTED}`, LimitNOFILE= of the systemd unit, or --ulimit nofile={WANTED} of the container"
        )
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def edge_connections() -> int:
    """Returns how many connections from outside the edge may hold, so that strangers never take its last open file."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_files = WANTED if soft == resource.RLIM_INFINITY else soft
    return min(max(open_files - RESERVED, open_files // 2), MOST_CONNECTIONS)
