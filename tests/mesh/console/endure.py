"""`make console-endure`: the page of events with 10,000 rows, and its memory while 50 events a second arrive.

It prints figures, and fails only when the page shows an error: a bound of time says more about the machine.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.mesh.accounts import connect, new_address, subscribe
from tests.mesh.console.walking import CHROMIUM, walked
from tests.programs.mesh import Mesh, running_mesh

ACCOUNTS = 5


def main() -> int:
    """Start a mesh, measure, and print the figures; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--seconds", type=int, default=600)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mm") as folder, running_mesh(Path(folder) / "data") as mesh:
        steps = walked("endure.mjs", prepared(mesh, chosen.events) | vars(chosen))
    sys.stdout.writelines(f"{json.dumps(step)}\n" for step in steps)
    return 0 if steps[-1]["faults"] == [] else 1


def prepared(mesh: Mesh, events: int) -> dict[str, object]:
    """Connect accounts and deliver the mails of the scroll."""
    addresses = [new_address(mesh, "ms365") for _ in range(ACCOUNTS)]
    for address in addresses:
        subscribe(mesh, connect(mesh, "ms365", address))
    for address in addresses:
        mesh.simulator.generate(address, events // ACCOUNTS + 1)
    return {
        "url": mesh.ready.http,
        "key": mesh.key,
        "control": mesh.simulator.url,
        "chromium": CHROMIUM,
        "addresses": addresses,
    }


if __name__ == "__main__":
    sys.exit(main())
