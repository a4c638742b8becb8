"""A program of the stack: its command, its check of readiness, its way to stop."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stack.files import write_private

TETHER = Path(__file__).with_name("tether.py")


@dataclass(frozen=True)
class UnprivilegedUser:
    """The user that a program runs as when we are root and it refuses to be.

    Attributes:
        name: Its login name.
        needs_passage: Whether folders on its way are closed to it, so that it must keep root's right to pass them.
    """

    name: str
    needs_passage: bool = False


@dataclass(frozen=True)
class Program:
    """One process of the stack.

    Attributes:
        name: Unique in the stack; names its log file too.
        command: Program and arguments. No secret is ever among them: anyone on the machine can read them.
        is_ready: Asks the running program whether it can do its work; quick, and false while it cannot be asked.
        environment: Variables added to the inherited environment. Secrets belong here.
        user: The user that it runs as; None runs it as our own user.
        stop_signal: Name of the signal for a clean stop, without "SIG".
        stop_seconds: How long a clean stop may take before it is killed.
        ready_seconds: How long it may take from start to ready.
        is_needed: Whether the mesh does not start without it.
    """

    name: str
    command: tuple[str, ...]
    is_ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    user: UnprivilegedUser | None = None
    stop_signal: str = "TERM"
    stop_seconds: float = 10.0
    ready_seconds: float = 60.0
    is_needed: bool = True

    def tethered_command(self, environment_file: Path | None = None) -> tuple[str, ...]:
        """Returns the command that starts the program bound to the life of its parent.

        Args:
            environment_file: Where `write_environment` has put the program's variables; they are read at the start.
        """
        options = ["--signal", self.stop_signal]
        if environment_file is not None:
            options += ["--environment", str(environment_file)]
        if self.user is not None:
            options += ["--user", self.user.name, *(["--search"] if self.user.needs_passage else [])]
        return (sys.executable, "-I", "-S", str(TETHER), *options, "--", *self.command)

    def write_environment(self, path: Path) -> None:
        """Writes the program's variables to a file that only its owner may read. Safe to call again: yes."""
        write_private(path, json.dumps(dict(self.environment)))
