"""The first byte and the peak memory of a downloaded attachment or raw message, beside a plain proxy."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from bench import measure
from bench.measure import Figure, Options, median
from stack.ports import free_port
from tests.mesh.accounts import PROVIDERS, connect, new_address
from tests.programs.mesh import Mesh, eventually, running_mesh

SMALL, LARGE, QUICK = 1_000_000, 100_000_000, 3_000_000
SECONDS = 120.0
MIB = 1024 * 1024
FLAT_MIB = 32
"""The most memory that a download may add, whatever its size."""
METHOD = """The whole mesh runs on one machine with the simulated providers, and a client downloads an
attachment (GetAttachment) and its whole mail (GetRawMessage) through the edge by HTTP. The plain proxy is one aiohttp
program beside it that asks the same provider with the same token. It hands Graph's bytes through in pieces, and reads
Gmail's JSON as a whole before it decodes it. Memory is the peak of the resident memory during the downloads minus the
resident memory before, of each process of the mesh on the way, and of the plain proxy; the kernel's peak is reset
before. Times are medians and include the simulated provider, which makes the whole answer before its first byte."""


PROCESSES = ("processor", "envoy", "token-vault")


@dataclass(frozen=True)
class Content:
    """A content in the simulated mailbox: its path at the edge, its address at the provider, and its least bytes."""

    name: str
    path: str
    source: str
    least_bytes: int


@dataclass(frozen=True)
class Download:
    """The cost of one way of downloading: medians of times, and the growth of memory by process."""

    first_byte_ms: float
    seconds: float
    grown_mib: dict[str, float]


async def program(options: Options) -> Sequence[Figure]:
    """Measure each provider and size in turn."""
    return await asyncio.to_thread(_measured, options)


def _measured(options: Options) -> list[Figure]:
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="mm-bench-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        with running_mesh(Path(folder) / "mesh") as mesh:
            for provider in PROVIDERS:
                for size in (SMALL, QUICK if options.is_quick else LARGE):
                    found += _of(mesh, provider, size, options)
    return found


def _of(mesh: Mesh, provider: str, size: int, options: Options) -> list[Figure]:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address, ["mail.read"])
    headers = {"authorization": f"Bearer {mesh.key}"}
    with httpx.Client(base_url=mesh.ready.http, headers=headers, timeout=SECONDS, trust_env=False) as client:
        contents = _delivered(mesh, client, provider, address, tenant, size)
        processes = {name: mesh.ready.processes[name] for name in PROCESSES}
        ours = [_download(client, one.path, one.least_bytes, processes, options) for one in contents]
    found: list[Figure] = []
    for content, download in zip(contents, ours, strict=True):
        # Each content has a plain proxy of its own: none begins with the memory that another one left.
        with _plain_proxy(mesh, address) as (port, pid), httpx.Client(timeout=SECONDS, trust_env=False) as client:
            kind = "graph" if provider == "ms365" else "gmail"
            url = f"http://127.0.0.1:{port}/{kind}?url={quote(content.source, safe='')}"
            plain = _download(client, url, content.least_bytes, {"plain": pid}, options)
        found += _figures(f"{provider}, {content.name} of {size // 1_000_000} MB", download, plain)
    return found


def _figures(name: str, ours: Download, plain: Download) -> list[Figure]:
    speeds = ours.seconds / plain.seconds if plain.seconds else 0.0
    return [
        *(
            Figure(f"{name}: memory added to {process}", ours.grown_mib[process], "MiB", f"<= {FLAT_MIB}")
            for process in PROCESSES
        ),
        Figure(f"{name}: memory added to the plain proxy", plain.grown_mib["plain"], "MiB"),
        Figure(f"{name}: first byte", ours.first_byte_ms, "ms"),
        Figure(f"{name}: first byte, plain proxy", plain.first_byte_ms, "ms"),
        Figure(f"{name}: whole download", ours.seconds, "s"),
        Figure(f"{name}: whole download, times the plain proxy", speeds, "ratio"),
    ]


def _delivered(
    mesh: Mesh, client: httpx.Client, provider: str, address: str, tenant: str, size: int
) -> tuple[Content, Content]:
    """Deliver a mail with an attachment of so many bytes; return the attachment and the whole mail."""
    file = {"name": "large.bin", "contentType": "application/octet-stream", "bytes": size}
    mail = mesh.simulator.deliver(address, subject="Large", text="See below", attachments=[file], silent=True)
    message_id = str(mail["id"])
    path = f"/v1/tenants/{tenant}/messages/{quote(message_id, safe='')}"
    (found,) = client.get(path).raise_for_status().json()["message"]["attachments"]
    base = mesh.ready.simulator
    assert base is not None
    if provider == "ms365":
        there = f"{base.microsoft}/graph/v1.0/me/messages/{message_id}"
        ours, source = found["attachmentId"], f"{there}/attachments/{found['attachmentId']}/$value"
        raw = f"{there}/$value"
    else:
        there = f"{base.google}/gmail/v1/users/me/messages/{message_id}"
        ours, source = found["partId"], f"{there}/attachments/{found['attachmentId']}"
        raw = f"{there}?format=raw"
    return (
        Content("attachment", f"{path}/attachments/{quote(ours, safe='')}", source, size),
        Content("raw message", f"{path}:raw", raw, size),
    )


def _download(
    client: httpx.Client, url: str, least_bytes: int, processes: dict[str, int], options: Options
) -> Download:
    _once(client, url, least_bytes)  # connections and caches are there before the measurement
    before = {name: _reset(pid) for name, pid in processes.items()}
    taken = [_once(client, url, least_bytes) for _ in range(options.repeats)]
    grown = {name: max(0.0, _peak(pid) - before[name]) for name, pid in processes.items()}
    return Download(median([first * 1000 for first, _ in taken]), median([whole for _, whole in taken]), grown)


def _once(client: httpx.Client, url: str, least_bytes: int) -> tuple[float, float]:
    """Return the seconds until the first byte and until the last one."""
    began, first, received = time.perf_counter(), 0.0, 0
    with client.stream("GET", url) as answer:
        answer.raise_for_status()
        for piece in answer.iter_raw():
            first = first or time.perf_counter() - began
            received += len(piece)
    assert received >= least_bytes, f"{received} of {least_bytes} bytes"
    return first, time.perf_counter() - began


def _reset(pid: int) -> float:
    """Reset the kernel's peak of a process' resident memory, and return the present one in MiB."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _status(pid, "VmRSS")


def _peak(pid: int) -> float:
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) / 1024


@contextmanager
def _plain_proxy(mesh: Mesh, address: str) -> Iterator[tuple[int, int]]:
    """Run the plain proxy with a token of the account; yield its port and its process id."""
    port = free_port()
    issued: Any = mesh.simulator.call("POST", f"accounts/{address}/grants")
    environment = {
        **os.environ,
        "PLAIN_CA": str(mesh.ready.ca_file),
        "PLAIN_TOKEN": str(issued["access_token"]),
    }
    process = subprocess.Popen((sys.executable, "-m", "bench.plain_proxy", str(port)), env=environment)  # noqa: S603
    try:
        eventually(_answers(port), 30, what="the plain proxy")
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> Callable[[], bool]:
    def ask() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code > 0
        except httpx.ConnectError:
            return False

    return ask


if __name__ == "__main__":
    measure.main(
        "download_contents",
        "Does a download of a large attachment or mail add memory, and when does its first byte come?",
        METHOD,
        program,
    )
