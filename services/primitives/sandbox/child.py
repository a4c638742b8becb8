"""The process that reads content: `python -m services.primitives.sandbox.child BOUNDS...`.

It reads requests from standard input, writes answers to standard output, and ends when its input ends. It has no
environment, no network and no rights; see `confine`.
"""

import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from mailmesh.primitives.v1 import primitive_service_pb2, quote_service_pb2
from services.primitives.documents.extract import extract
from services.primitives.documents.scans import ScanReader, read_scan
from services.primitives.failure import ContentError
from services.primitives.mail.parse import parse_mail
from services.primitives.sandbox.confine import Confinement, confine
from services.primitives.texts.classify import classify
from services.primitives.texts.fields import extract_fields
from services.primitives.texts.model import TextModel, load
from services.primitives.texts.quotes import check_quotes

HEAD = struct.Struct(">II")
"""Before each request: the length of the operation's name and of the content."""
ANSWER = struct.Struct(">?I")
"""Before each answer: whether it is the result (else the word of a failure), and its length in bytes."""


def _mail(content: bytes) -> bytes:
    return parse_mail(content).SerializeToString()


def _document(request: bytes) -> bytes:
    return extract(primitive_service_pb2.ExtractDocumentRequest.FromString(request)).SerializeToString()


def _classify(loaded: TextModel | None, request: bytes) -> bytes:
    return classify(primitive_service_pb2.ClassifyMessageRequest.FromString(request), loaded).SerializeToString()


def _scan_reader(bounds: Confinement) -> ScanReader | None:
    return ScanReader(Path(bounds.scan_data), bounds.scan_languages) if bounds.scan_data else None


def _scan(reader: ScanReader | None, seconds: float, request: bytes) -> bytes:
    asked = primitive_service_pb2.ExtractDocumentRequest.FromString(request)
    return read_scan(reader, seconds, asked).SerializeToString()


def _fields(request: bytes) -> bytes:
    return extract_fields(primitive_service_pb2.ExtractFieldsRequest.FromString(request)).SerializeToString()


def _quotes(request: bytes) -> bytes:
    return check_quotes(quote_service_pb2.CheckQuotesRequest.FromString(request)).SerializeToString()


def _probe(_content: bytes) -> bytes:
    """Try what a process without rights cannot do; return the names of what it could do."""
    possible = []
    for name, attempt in _ATTEMPTS.items():
        with suppress(OSError):
            attempt()
            possible.append(name)
    return " ".join(possible).encode()


_ATTEMPTS: Mapping[str, Callable[[], object]] = {
    "network": lambda: socket.socket().close(),
    "read": lambda: os.close(os.open("/", os.O_RDONLY)),
    "write": lambda: os.close(os.open(os.devnull, os.O_WRONLY)),
    "signal": lambda: os.kill(os.getppid(), 0),
}
Operations = Mapping[str, Callable[[bytes], bytes]]
OPERATIONS: Operations = {"mail": _mail, "document": _document, "fields": _fields, "quotes": _quotes, "probe": _probe}


def main(words: list[str]) -> None:
    """Answer requests until the input ends.

    Args:
        words: The bounds (`Confinement.words`).
    """
    bounds = Confinement.of(words)
    operations: Operations = {
        **OPERATIONS,
        "classify": partial(_classify, load() if bounds.has_model else None),
        "scan": partial(_scan, _scan_reader(bounds), bounds.cpu_seconds),
    }
    confine(bounds)
    requests, answers = open(0, "rb"), sys.stdout.buffer  # noqa: SIM115 - open until the end of the process
    while head := requests.read(HEAD.size):
        signal.setitimer(signal.ITIMER_PROF, bounds.cpu_seconds)
        is_read, answer = _answer(operations, requests, *HEAD.unpack(head))
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(ANSWER.pack(is_read, len(answer)) + answer)
        answers.flush()
        if not is_read:  # after a failure, memory may be short: the next content gets another process
            return


def _answer(operations: Operations, requests: BinaryIO, name_length: int, length: int) -> tuple[bool, bytes]:
    try:
        operation = requests.read(name_length).decode("ascii")
        return True, operations[operation](requests.read(length))
    except ContentError as exc:
        return False, exc.cause.encode()
    except MemoryError:
        return False, b"memory"
    except RecursionError:
        return False, b"nesting"
    except Exception:  # noqa: BLE001 - readers of others' formats raise anything; its text may quote the content
        return False, b"malformed"


if __name__ == "__main__":
    main(sys.argv[1:])
