"""How the command line shows things: tables for people, JSON for machines.

Only this module and `exits` write to the terminal, and both through `stack.terminal`: text from outside shows there and
never acts.
"""

import datetime as dt
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any

import typer
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.table import Table

from services.meshkit.text import visible
from stack.terminal import Part, line, paragraph, plain_console, visible_json

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=0, help="Show at most this many; 0 shows all.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
TIME_FORMS = "2026-11-21T12:00:00Z, or 15m, 12h, 7d before now"
PAGE_SIZE = 200
SECONDS_PER_MINUTE = 60
# A table in a pipe is not cut: programs read it.
PIPE_COLUMNS = 500

console = plain_console()


def show(*parts: Part) -> None:
    """Prints one line of text, some of it styled. The terminal wraps it."""
    console.print(line(*parts), soft_wrap=True)


def show_lines(text: str) -> None:
    """Prints a text of several lines, such as the output of another program."""
    if text:
        console.print(paragraph(text.removesuffix("\n")), soft_wrap=True)


def show_aside(text: str) -> None:
    """Prints one line to standard error, where it does not mix with a result."""
    sys.stderr.write(visible(text) + "\n")
    sys.stderr.flush()


def as_dict(message: Message) -> dict[str, Any]:
    """Returns a message in its JSON form."""
    return json_format.MessageToDict(message, always_print_fields_with_no_presence=True)


def print_json(value: Message | Sequence[Message] | dict[str, Any] | list[Any]) -> None:
    """Prints a message, or several as a list, as indented JSON."""
    if isinstance(value, Message):
        value = as_dict(value)
    elif not isinstance(value, dict):
        value = [as_dict(item) if isinstance(item, Message) else item for item in value]
    sys.stdout.write(_document(value, indent=2) + "\n")


def print_json_line(message: Message) -> None:
    """Prints a message as one line of JSON, at once."""
    sys.stdout.write(_document(as_dict(message)) + "\n")
    sys.stdout.flush()


def _document(value: Any, indent: int | None = None) -> str:
    """Returns a value as JSON, in ASCII where the output has no form for other characters."""
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return visible_json(json.dumps(value, indent=indent, ensure_ascii=not is_unicode))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """Prints a table, or a sentence when it has no rows. In a pipe nothing is cut.

    Args:
        columns: Headings.
        rows: Cells; whatever is in them is shown as it is.
        empty: The sentence to print without rows.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=not console.is_terminal)
    for row in rows:
        table.add_row(*map(line, row))
    if not table.row_count:
        show(empty)
        return
    wide = console if console.is_terminal else plain_console(width=PIPE_COLUMNS)
    wide.print(table)


def print_record(pairs: Iterable[tuple[str, str]]) -> None:
    """Prints names and values below each other; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        show((f"{name:<{width}}", "bold"), f"  {value}")


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


def enum_value(enum: Any, prefix: str, text: str) -> Any:
    """Returns the value of an enum of the contract that a word of the command line means.

    Raises:
        typer.BadParameter: The enum has no such value; the message lists the words.
    """
    words = [word(name, prefix) for name in enum.keys()[1:]]
    if text.lower() not in words:
        raise typer.BadParameter(f"{visible(text)!r} is not one of: {', '.join(words)}")
    return enum.Value(f"{prefix}{text.upper()}")


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
    try:
        if text[-1:] in units and text[:-1].isdecimal():
            return dt.datetime.now(dt.UTC) - dt.timedelta(seconds=int(text[:-1]) * units[text[-1]])
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        message = f"{visible(text)!r} is not a time: write {TIME_FORMS}"
        raise typer.BadParameter(message) from None


def confirm(question: str, *, yes: bool) -> None:
    """Asks before something that cannot be undone. Without a person at the terminal, --yes is needed.

    Raises:
        typer.Abort: The answer is no.
        typer.BadParameter: There is no terminal to ask at.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{visible(question)} Add --yes to answer in advance.")
    typer.confirm(visible(question), abort=True)
