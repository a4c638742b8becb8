"""Makes the commands' help and refusals readable: what Typer would show literally, and what acts on a terminal."""

import inspect
from collections.abc import Callable, Container, Iterator
from functools import wraps
from typing import Any

import typer
from rich.markup import escape

from services.meshkit.text import visible

# Typer has its own copy of click, whose classes it does not export.
Command = Any


def command_line(app: typer.Typer) -> Command:
    """Returns an application's root command, every help text of it prepared for showing."""
    root: Command = typer.main.get_command(app)
    for _, command in walk(root):
        command.help = _help(command.help or "")
        for parameter in _parameters(command):
            _prepare(parameter)
    general = {option for parameter in _parameters(root) for option in parameter.opts}
    root.make_context = _refusing_visibly(root.make_context, general)
    root.invoke = _refusing_visibly(root.invoke, general)
    return root


def walk(command: Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
    """Gives a command and all commands below it, each with the words that name it."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, (*path, name))


def _refusing_visibly(step: Callable[..., Any], general: Container[str]) -> Callable[..., Any]:
    """Makes refusals of wrong usage show the arguments that they repeat, which may come from a stranger's text.

    Args:
        step: The step of the command line that refuses.
        general: The options that belong before the command.
    """

    @wraps(step)
    def visibly(*arguments: Any, **options: Any) -> Any:
        try:
            return step(*arguments, **options)
        except Exception as fault:
            # The classes of such refusals are not exported; they have their text in this attribute.
            if hasattr(fault, "format_message") and hasattr(fault, "message"):
                fault.message = visible(fault.message)
                if getattr(fault, "option_name", None) in general:
                    fault.message += "; it belongs before the command"
            raise

    return visibly


def _parameters(command: Command) -> list[Any]:
    """A command's parameters, the option `--help` included, which Typer makes when it is first asked for."""
    context = typer.Context(command, help_option_names=["-h", "--help"])
    parameters: list[Any] = command.get_params(context)
    return parameters


def _prepare(parameter: Any) -> None:
    if parameter.param_type_name == "argument":
        # Its name stands before its sentence already.
        parameter.display_type_rich = _no_type
    elif getattr(parameter, "is_flag", False):
        # A flag takes no value, so it has no type to show.
        parameter.metavar = ""
    elif parameter.metavar is None:
        # The name says more than "<str>"; the range follows behind it.
        parameter.metavar = _value_name(parameter)
    if getattr(parameter, "help", None):
        # Help is read as markup of rich, which would swallow "[default: ...]".
        parameter.help = escape(parameter.help)


def _value_name(parameter: Any) -> str:
    kind = parameter.type_descriptor
    if kind.is_ranged:
        return "NUMBER"
    return "FILE" if kind.is_path else str(parameter.opts[0]).lstrip("-").upper()


def _no_type(ctx: typer.Context) -> None:
    """Shows no type, in place of Typer's words for types of Python."""
    del ctx


def _help(text: str) -> str:
    """Joins the lines of each paragraph, so that the terminal's width breaks them; indented blocks keep their lines."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    first, *others = (part if "\n  " in part else part.replace("\n", " ") for part in paragraphs)
    # Typer removes the indentation of a block that follows alone, unless a blank line stands before it.
    rest = "\n\n\n" + "\n\n".join(others) if others else ""
    return escape(first + rest)
