"""Exit codes for scripts, and the one place where failures become exit codes."""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NoReturn

import grpc

from services.meshkit.status import info_of
from stack.errors import StackError, describe
from stack.terminal import line, paragraph, plain_console

errors = plain_console(stderr=True)


class Exit(IntEnum):
    """Exit codes of the command line."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    DENIED = 4
    UNAVAILABLE = 5
    REFUSED = 6
    INTERRUPTED = 130


HELP = (
    "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 not found; 4 key missing or not allowed; "
    "5 the mesh or the provider cannot be reached now; 6 refused until a person fixes the cause; 130 interrupted."
)

_BY_CODE = {
    grpc.StatusCode.NOT_FOUND: Exit.NOT_FOUND,
    grpc.StatusCode.UNAUTHENTICATED: Exit.DENIED,
    grpc.StatusCode.PERMISSION_DENIED: Exit.DENIED,
    grpc.StatusCode.UNAVAILABLE: Exit.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Exit.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Exit.UNAVAILABLE,
    grpc.StatusCode.FAILED_PRECONDITION: Exit.REFUSED,
    grpc.StatusCode.INVALID_ARGUMENT: Exit.USAGE,
}


class CommandError(Exception):
    """A command cannot do its task.

    Args:
        message: A sentence for the person at the terminal.
        code: The exit code.
    """

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code


class InterruptedByPerson(BaseException):
    """Ctrl-C. It is not `KeyboardInterrupt`, because Typer ends with another code on that."""


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise InterruptedByPerson


def fail(message: str, code: Exit, *, has_lines: bool = False) -> NoReturn:
    """Prints a failure to standard error and ends the process."""
    text = paragraph(message) if has_lines else line(message)
    errors.print(line(("mailmesh:", "red"), " ").append_text(text), soft_wrap=True)
    sys.exit(code)


def run(application: Callable[..., object]) -> None:
    """Runs the command line and turns failures into one clear line and an exit code."""
    signal.signal(signal.SIGINT, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        _show_every_character(stream)
    try:
        application()
    except InterruptedByPerson:
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has closed the pipe: this is no failure, and nothing more can be printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.OK)
    except CommandError as fault:
        fail(str(fault), fault.code)
    except StackError as fault:
        # The end of a program's log may belong to it.
        fail(str(fault), Exit.FAILED, has_lines=True)
    except UnicodeEncodeError:
        # Arguments that are no UTF-8 reach Python as lone surrogates, which no message of the contract takes.
        fail("an argument is not UTF-8", Exit.USAGE)
    except OSError as fault:
        # A file that an option names, or one of the data directory: the system says what is wrong with it.
        fail(describe(fault), Exit.FAILED)
    except grpc.RpcError as fault:
        fail(explain(fault), _BY_CODE.get(code_of(fault), Exit.FAILED))


def _show_every_character(stream: object) -> None:
    """Makes an output that has no form for a character show its code, instead of ending the command."""
    # A stream whose file was replaced by a pipe after it was opened cannot be changed, and keeps its own way.
    with contextlib.suppress(OSError):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def explain(fault: grpc.RpcError) -> str:
    """Returns a sentence for a failed call: the reason's name first, if the mesh gave one."""
    call: Any = fault
    word = reason_of(fault) or code_of(fault).name.lower()
    return f"{word}: {call.details() or 'the call failed'}"


def reason_of(fault: grpc.RpcError) -> str:
    """Returns the `ErrorReason` that came with a failed call, without prefix; empty without one."""
    return info_of(fault).reason


def code_of(fault: grpc.RpcError) -> grpc.StatusCode:
    """Returns the gRPC code of a failed call."""
    call: Any = fault
    code: grpc.StatusCode = call.code()
    return code
