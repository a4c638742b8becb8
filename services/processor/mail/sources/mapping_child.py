"""The process that maps long mails: `python -m services.processor.mail.sources.mapping_child CPU_SECONDS MEMORY_BYTES`.

It reads a request from standard input, writes the answer to standard output, and ends when its input ends. It has no
environment, no token and no connection: hostile mail is read where nothing can be stolen.
"""

import io
import json
import pickle
import resource
import signal
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from services.processor.mail.sources import batch_parts, gmail_mapping, graph_mapping, long_json
from services.processor.mail.sources.mapped import MappedMessage
from services.processor.mail.sources.mapping_tasks import has_many_members
from services.processor.mailbox.parsing import parse
from services.providers.names import GOOGLEWS, MS365

ANSWER = struct.Struct(">?I")
"""Before each answer: whether it is the result (else the word of a failure), and its length in bytes."""
NO_JSON, NO_MESSAGE, TOO_MANY = "answer_is_no_json", "message_is_no_object", "answer_too_large"
"""Words of failures: bytes that are no JSON object, an object that is no message, and one of too many members."""
MAX_ANSWER_MEMBERS = 1_000_000
"""Members of an answer that another process gets whole: it has to make an object of each."""
MAPPINGS: Mapping[str, Callable[[dict[str, Any]], MappedMessage]] = {
    MS365: graph_mapping.map_message,
    GOOGLEWS: gmail_mapping.map_message,
}


class _AnswerError(Exception):
    """The provider's answer is not of the kind that was asked for. The argument is the word of the failure."""


def map_object(provider: str, raw: dict[str, Any] | bytes, bodies: Mapping[str, str | bytes]) -> bytes:
    """Map a provider's object; see `MappingPool.map`."""
    given = _parsed(raw)
    if not given.get("id"):
        raise _AnswerError(NO_MESSAGE)
    if bodies:
        gmail_mapping.put_in_bodies(given, {name: _data(body) for name, body in bodies.items()})
    return MAPPINGS[provider](given).to_bytes()


def list_detached(raw: bytes) -> bytes:
    """List the attachment ids of the bodies that Gmail holds back; see `MappingPool.detached`."""
    ids = [attachment_id for attachment_id, _ in gmail_mapping.detached_bodies(_parsed(raw))]
    return json.dumps(ids).encode()


def split_batch(raw: bytes) -> bytes:
    """Take a batch's answer apart; see `MappingPool.responses`."""
    return batch_parts.split(_parsed(raw))


def write_pieces(raw: bytes) -> bytes:
    """Write an answer in pieces; see `MappingPool.parsed`."""
    given = _parsed(raw)
    if has_many_members(given, MAX_ANSWER_MEMBERS):
        raise _AnswerError(TOO_MANY)
    return long_json.write(given)


OPERATIONS: Mapping[str, Callable[..., bytes]] = {
    operation.__name__: operation for operation in (map_object, list_detached, split_batch, write_pieces)
}


def _parsed(raw: dict[str, Any] | bytes) -> dict[str, Any]:
    given = parse(raw) if isinstance(raw, bytes) else raw
    if given is None:
        raise _AnswerError(NO_JSON)
    return given


def _data(body: str | bytes) -> str:
    """Return the base64 of an attachment's answer; empty when it has none, so that the body counts as cut."""
    found = body if isinstance(body, str) else (parse(body) or {}).get("data")
    return found if isinstance(found, str) else ""


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
        operation, arguments = pickle.load(requests)  # noqa: S301 - the parent wrote it
        return True, OPERATIONS[operation](*arguments)
    except _AnswerError as exc:
        return False, str(exc).encode()
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError) as exc:
        return False, type(exc).__name__.encode()


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
