"""`mailmesh doctor --deployed` against servers that want to crash, fill or hold it."""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import islice

import httpx
import pytest

from stack.diagnosis import asking
from stack.diagnosis.asking import MAX_BODY_BYTES, ask
from stack.diagnosis.deployed import deployed_findings
from stack.diagnosis.reach import webhook_findings

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"


@contextmanager
def server(pieces: Callable[[], Iterator[bytes]], pause: float = 0) -> Iterator[str]:
    """Run a server that answers each request with pieces until its client goes, and give its address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    threading.Thread(target=answer, args=(client,), daemon=True).start()

        def answer(client: socket.socket) -> None:
            with closing(client), suppress(OSError):
                client.recv(65536)
                for piece in pieces():
                    client.sendall(piece)
                    time.sleep(pause)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2026 00:00:00 +99999999999999",
        "Mon, 01 Jan 2026 99999999999999999999:00:00 GMT",
        "Mon, 01 Jan 2026 00:00:00 -0000",
        "x" * 70_000,
        "\x1b[31m",
    ],
)
def test_a_date_that_no_clock_shows_is_a_warning(date: str) -> None:
    answer = HEAD + f"date: {date}\r\ncontent-length: 0\r\n\r\n".encode()
    with server(lambda: iter([answer])) as url:
        found = list(islice(deployed_findings(url), 3))

    assert ["TLS", "edge"] == [one.name for one in found[:2]]
    assert "good" not in found[-1].as_dict().values()


@pytest.mark.parametrize("encoding", ["", "content-encoding: gzip\r\n"])
def test_a_body_without_end_is_read_up_to_a_bound(encoding: str) -> None:
    begin = HEAD + encoding.encode() + b"\r\n"
    with server(lambda: itertools.chain([begin], itertools.repeat(b"x" * 4096))) as url:
        answer = ask("GET", url)
        findings = list(webhook_findings(url))

    assert MAX_BODY_BYTES < len(answer.body) < MAX_BODY_BYTES + 2**20
    assert ["answers 200 and not the token", "answers 200, not 401"] == [
        one.fact.partition("webhook ")[2] for one in findings
    ]


@pytest.mark.parametrize("begin", [b"", HEAD, HEAD + b"\r\n"])
def test_an_answer_in_drops_ends_with_the_deadline(monkeypatch: pytest.MonkeyPatch, begin: bytes) -> None:
    monkeypatch.setattr(asking, "SECONDS", 0.5)
    with (
        server(lambda: itertools.chain([begin], itertools.repeat(b"x")), 0.05) as url,
        pytest.raises(httpx.ReadTimeout, match=r"did not end within 0\.5 s"),
    ):
        ask("GET", url)
