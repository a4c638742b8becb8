"""A progress bar on standard error, where it does not mix with a result; in a pipe there is none."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.meshkit.text import visible
from stack.terminal import plain_console


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs.

    Args:
        what: The words beside the bar.
        total: The number of steps; None when it is not known.

    Yields:
        A function that takes the number of steps done so far.
    """
    console = plain_console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(visible(what), total=total)

        def show(done: int) -> None:
            bar.update(task, completed=done)

        yield show
