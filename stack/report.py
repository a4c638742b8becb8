"""What a person sees while the stack starts, runs and stops."""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape

from stack.ready import Ready


class Report:
    """Tells about the stack, on a terminal with a spinner, in a pipe with plain lines.

    Args:
        console: Where to write.
    """

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextlib.contextmanager
    def step(self, doing: str, done: str) -> Iterator[None]:
        """Shows what is being done during a block, and how long it took after it."""
        started = time.monotonic()
        try:
            with self._spinner(doing):
                yield
        except BaseException:
            self.console.print(f"[red]✗[/] {doing}", highlight=False)
            raise
        self.console.print(f"[green]✓[/] {done} [dim]{time.monotonic() - started:.1f} s[/]", highlight=False)

    def note(self, text: str) -> None:
        """Tells something worth knowing."""
        self.console.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {escape(text)}", highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Tells of trouble that heals by itself."""
        self.console.print(
            f"[dim]{time.strftime('%H:%M:%S')}[/] [yellow]{escape(text)}[/]", highlight=False, soft_wrap=True
        )

    def ready(self, ready: Ready, seconds: float) -> None:
        """Shows the addresses."""
        rows = [
            ("HTTP and gRPC", ready.http),
            ("Admin key", str(ready.admin_key_file)),
            ("Logs", str(ready.log_folder)),
        ]
        if ready.public_url != ready.http:
            rows.insert(1, ("Public address", ready.public_url))
        if ready.simulator is not None:
            rows += [
                ("Simulated Microsoft", ready.simulator.microsoft),
                ("Simulated Google", ready.simulator.google),
                ("Simulator's control", ready.simulator.control),
            ]
        self.console.print(f"[bold green]mailmesh is ready[/] [dim]after {seconds:.1f} s; Ctrl-C stops it[/]")
        for name, value in rows:
            self.console.print(f"  {name:<20} {value}", soft_wrap=True, highlight=False)

    @contextlib.contextmanager
    def _spinner(self, text: str) -> Iterator[None]:
        if not self.console.is_terminal:
            yield
            return
        with self.console.status(text):
            yield
