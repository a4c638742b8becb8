"""The process that maps long mails: `python -m services.processor.mail.sources.mapping_child CPU_SECONDS MEMORY_BYTES`.

It reads a request from standard input, writes the answer to standard output, and ends when its input ends. It has no
environment, no token and no connection: hostile mail is read where nothing can be stolen.
"""

import io
import pickle
import resource
import signal
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from services.processor.mail.sources import gmail_mapping, graph_mapping
from services.processor.mail.sources.mapped import MappedMessage
from services.providers.names import GOOGLEWS, MS365

ANSWER = struct.Struct(">?I")
"""Before each answer: whether it is a mail (else the name of an exception), and its length in bytes."""
MAPPINGS: Mapping[str, Callable[[dict[str, Any]], MappedMessage]] = {
    MS365: graph_mapping.map_message,
    GOOGLEWS: gmail_mapping.map_message,
}


def main(cpu_seconds: float, memory_bytes: int) -> None:
    """Answer requests until the input ends.

    Args:
        cpu_seconds: Time of processor for one mail. The signal of the timer then ends the process, wherever it is.
        memory_bytes: Address space of the process.
    """
    _confine(memory_bytes)
    with open(0, "rb") as requests:
        _serve(requests, cpu_seconds)


def _serve(requests: io.BufferedReader, cpu_seconds: float) -> None:
    answers = sys.stdout.buffer
    while requests.peek(1):
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        is_mapped, answer = _answer(requests)
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(ANSWER.pack(is_mapped, len(answer)) + answer)
        answers.flush()
        if not is_mapped:  # after a failure, memory may be short: the next mail gets another process
            return


def _confine(memory_bytes: int) -> None:
    """Bound the memory; write no file and no core dump; leave the end to the parent, whatever its terminal says."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _answer(requests: BinaryIO) -> tuple[bool, bytes]:
    try:
        provider, raw = pickle.load(requests)  # noqa: S301 - the parent wrote it
        return True, MAPPINGS[provider](raw).to_bytes()
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError) as exc:
        return False, type(exc).__name__.encode()


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
