"""Clocks of hosts that differ by minutes: libfaketime, a library that changes the time which a process reads.

The kernel has one clock of the day for all namespaces: time namespaces change the monotonic and the boot clock alone
(time_namespaces(7)). So each of our processes on a host reads the time by way of the library. Envoy, PostgreSQL and
Redis keep the machine's: PostgreSQL's clock is the one by which the mesh judges leases.
"""

import os
import random
from pathlib import Path

_PLACES = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
)
SETTING = "MAILMESH_TEST_FAKETIME"
"""Where the library is, if not where Debian's package libfaketime puts it."""
MOST_SECONDS = 180


def library() -> Path | None:
    """Return the library; None where it is not installed."""
    places = (os.environ[SETTING],) if os.environ.get(SETTING) else _PLACES
    return next((Path(place) for place in places if Path(place).is_file()), None)


def offsets(chance: random.Random, hosts: list[str]) -> dict[str, int]:
    """Return the seconds by which the clock of each host differs, by chance; none without the library."""
    if library() is None:
        print("  clocks are equal: the package libfaketime is not installed", flush=True)
        return {}
    return {host: chance.choice((-1, 1)) * chance.randint(60, MOST_SECONDS) for host in hosts}


def environment(offset_seconds: int) -> dict[str, str]:
    """Return the variables of a process whose clock differs. Its monotonic clock, by which it waits, is as before."""
    found = library()
    if found is None or not offset_seconds:
        return {}
    return {
        "LD_PRELOAD": str(found),
        "FAKETIME": f"{offset_seconds:+d}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
    }
