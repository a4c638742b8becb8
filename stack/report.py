"""The messages of the stack for the person at the terminal, while it starts, runs and stops."""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console

from gateway.console import PREFIX as CONSOLE
from services.meshkit.text import visible
from stack.ready import Ready
from stack.terminal import Part, line


class Report:
    """Reports on the stack: with a spinner on a terminal, with plain lines in a pipe.

    A message that cannot be written, as on a full disk, stops nothing.

    Args:
        console: The terminal or pipe to write to.

    Attributes:
        lost: How many messages could not be written.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.lost = 0

    @contextlib.contextmanager
    def step(self, doing: str, done: str) -> Iterator[None]:
        """Shows a step while its block runs, and its duration after it."""
        started = time.monotonic()
        try:
            with self._spinner(doing):
                yield
        except BaseException:
            self._print(("✗", "red"), f" {doing}")
            raise
        self._print(("✓", "green"), f" {done} ", (f"{time.monotonic() - started:.1f} s", "dim"))

    def note(self, text: str) -> None:
        """Prints a piece of news."""
        self._print((time.strftime("%H:%M:%S"), "dim"), f" {text}")

    def warn(self, text: str) -> None:
        """Prints a warning about a failure that heals without a person."""
        self._print((time.strftime("%H:%M:%S"), "dim"), " ", (text, "yellow"))

    def ready(self, ready: Ready, seconds: float) -> None:
        """Shows the addresses."""
        rows = [
            ("HTTP and gRPC", ready.http),
            ("Console", f"{ready.public_url or ready.http}{CONSOLE}"),
            ("Admin key", str(ready.admin_key_file)),
            ("Logs", str(ready.log_folder)),
        ]
        if ready.watch_ui:
            rows.append(("Dashboards", ready.watch_ui))
        if ready.public_url != ready.http:
            rows.insert(1, ("Public address", ready.public_url))
        if ready.simulator is not None:
            rows += [
                ("Simulated Microsoft", ready.simulator.microsoft),
                ("Simulated Google", ready.simulator.google),
                ("Simulator's control", ready.simulator.control),
            ]
        self._print(("mailmesh is ready", "bold green"), (f" after {seconds:.1f} s; Ctrl-C stops it", "dim"))
        for name, value in rows:
            self._print(f"  {name:<20} {value}")

    @contextlib.contextmanager
    def _spinner(self, text: str) -> Iterator[None]:
        if not self.console.is_terminal:
            yield
            return
        with self.console.status(visible(text)):
            yield

    def _print(self, *parts: Part) -> None:
        try:
            self.console.print(line(*parts), soft_wrap=True)
        except BrokenPipeError:
            raise
        except OSError:
            # Our output is a file on a full disk: messages are lost, and the stack runs on.
            self.lost += 1
