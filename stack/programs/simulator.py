"""The simulated providers as a program."""

import sys
import urllib.request
from collections.abc import Mapping, Sequence

from stack.certificates import Identity
from stack.ports import LOOPBACK
from stack.programs.program import Program

CONTROL_SECONDS = 1.0


def simulator_program(ports: Mapping[str, int], identity: Identity, options: Sequence[str] = ()) -> Program:
    """Returns the simulator as a program.

    Args:
        ports: Loopback ports by "microsoft", "google" and "control".
        identity: Its TLS certificate.
        options: More arguments, as from `mailmesh simulate`.
    """
    return Program(
        name="simulator",
        command=(
            *(sys.executable, "-m", "simulator"),
            *("--cert", str(identity.certificate), "--key", str(identity.key), "--ca", str(identity.authority)),
            *("--ms-port", str(ports["microsoft"])),
            *("--google-port", str(ports["google"])),
            *("--control-port", str(ports["control"])),
            *options,
        ),
        is_ready=lambda: answers(ports["control"]),
        stop_seconds=5.0,
    )


def answers(control_port: int) -> bool:
    """Says whether the simulator's control port answers."""
    try:
        with urllib.request.urlopen(
            f"http://{LOOPBACK}:{control_port}/control/health", timeout=CONTROL_SECONDS
        ) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 - HTTP
    except OSError:
        return False
