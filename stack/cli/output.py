"""How the command line shows things: tables for people, JSON for machines."""

import datetime as dt
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any

import typer
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.markup import escape
from rich.table import Table

JsonOption = Annotated[bool, typer.Option("--json", help="JSON for machines.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=0, help="Most to show; 0 shows all.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
PAGE_SIZE = 200
SECONDS_PER_MINUTE = 60

console = Console(highlight=False)


def as_dict(message: Message) -> dict[str, Any]:
    """Returns a message in its JSON form."""
    return json_format.MessageToDict(message, always_print_fields_with_no_presence=True)


def print_json(value: Message | Sequence[Message] | dict[str, Any] | list[Any]) -> None:
    """Prints a message, or several as a list, as indented JSON."""
    if isinstance(value, Message):
        value = as_dict(value)
    elif not isinstance(value, dict):
        value = [as_dict(item) if isinstance(item, Message) else item for item in value]
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_json_line(message: Message) -> None:
    """Prints a message as one line of JSON, at once."""
    sys.stdout.write(json.dumps(as_dict(message), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """Prints a table, or a sentence when there is nothing in it. In a pipe nothing is cut.

    Args:
        columns: Headings.
        rows: Cells; markup in them is shown as it is.
        empty: What to say without rows.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=not console.is_terminal)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    if not table.row_count:
        console.print(empty)
        return
    wide = console if console.is_terminal else Console(highlight=False, width=500)
    wide.print(table)


def print_record(pairs: Iterable[tuple[str, str]]) -> None:
    """Prints names and values below each other; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        console.print(f"[bold]{name:<{width}}[/]  {escape(value)}", soft_wrap=True)


def pages(fetch: Callable[[int, str], tuple[Sequence[Message], str]], limit: int) -> Iterator[Any]:
    """Reads a list page by page.

    Args:
        fetch: Gets a page's size and token, gives its items and the next token.
        limit: Most to give; 0 gives all.
    """
    token, given = "", 0
    while True:
        size = PAGE_SIZE if limit == 0 else min(PAGE_SIZE, limit - given)
        items, token = fetch(size, token)
        yield from items
        given += len(items)
        if not token or (limit and given >= limit):
            return


def when(stamp: Timestamp) -> str:
    """Returns a time for people, local; empty when it is not set."""
    if not stamp.seconds:
        return ""
    return stamp.ToDatetime(dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def word(name: str, prefix: str) -> str:
    """Returns an enum value's name for people: without prefix, in lower case."""
    return name.removeprefix(prefix).lower()


def parse_time(text: str | None) -> Timestamp | None:
    """Reads a time of the command line: RFC 3339, or a span before now such as 90s, 15m, 12h, 7d.

    Raises:
        typer.BadParameter: It is neither.
    """
    if text is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(_moment(text))
    return stamp


def _moment(text: str) -> dt.datetime:
    units = {"s": 1, "m": SECONDS_PER_MINUTE, "h": 3600, "d": 86400}
    if text[-1:] in units and text[:-1].isdigit():
        return dt.datetime.now(dt.UTC) - dt.timedelta(seconds=int(text[:-1]) * units[text[-1]])
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no time: 2026-11-21T12:00:00Z, or a span before now such as 15m, 12h, 7d"
        raise typer.BadParameter(message) from None
    return moment.astimezone(dt.UTC)


def confirm(question: str, *, yes: bool) -> None:
    """Asks before something that cannot be undone; where nobody can answer, --yes is needed.

    Raises:
        typer.Abort: The answer is no.
        typer.BadParameter: Nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{question} Add --yes to do it without being asked.")
    typer.confirm(question, abort=True)
