"""The first byte, the rate and the memory of an attachment's download, beside a plain proxy."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench import measure
from bench.measure import Figure, Options
from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import message_service_pb2 as messages
from mailmesh.processor.v1 import message_service_pb2_grpc as message_services
from stack.ports import accepts, free_port
from tests.mesh.accounts import connect, new_address
from tests.programs.mesh import Mesh, eventually, running_mesh

SIZES = {"1 MB": 1_000_000, "100 MB": 100_000_000}
MEBIBYTE = 1024 * 1024
FLAT_MEBIBYTES = 32


@dataclass(frozen=True)
class Taken:
    """One download.

    Args:
        first_ms: The time to the first byte.
        seconds: The time of the whole.
        grown: By how much the process's memory grew at its peak, in MiB.
    """

    first_ms: float
    seconds: float
    grown: float


async def program(options: Options) -> Sequence[Figure]:
    """Run the whole mesh and download from each provider."""
    return await asyncio.to_thread(_measured, options)


def _measured(options: Options) -> list[Figure]:
    found: list[Figure] = []
    sizes = {"100 KB": 100_000} if options.is_quick else SIZES
    with tempfile.TemporaryDirectory(prefix="mm-bench-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        with running_mesh(Path(folder) / "mesh") as mesh:
            for label, size in sizes.items():
                for provider in ("ms365", "googlews"):
                    found += _of(mesh, provider, label, size, is_quick=options.is_quick)
    return found


def _of(mesh: Mesh, provider: str, label: str, size: int, *, is_quick: bool) -> list[Figure]:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address)
    file = {"name": "file.bin", "contentType": "application/octet-stream", "bytes": size}
    message_id = mesh.simulator.deliver(address, subject="A file", text="Here", attachments=[file])["id"]
    stub = message_services.MessageServiceStub(mesh.channel)
    request = messages.GetMessageRequest(tenant_id=tenant, message_id=message_id)
    attachment = eventually(lambda: stub.GetMessage(request).message.attachments)[0]
    path = f"/v1/tenants/{tenant}/messages/{message_id}/attachments/{attachment.part_id or attachment.attachment_id}"
    target = (f"{mesh.ready.http}{path}", {"authorization": f"Bearer {mesh.key}"})
    _downloaded(*target, size, os.getpid())  # warm: the token is lent, the mail is rendered
    taken = _downloaded(*target, size, mesh.ready.processes["processor"])
    bound = "" if is_quick else f"<= {FLAT_MEBIBYTES}"
    figures = _figures(f"{provider}, {label}", taken, size, bound)
    if provider == "ms365":
        figures += _of_proxy(mesh, address, message_id, attachment, label, size)
    return figures


def _of_proxy(
    mesh: Mesh, address: str, message_id: str, attachment: message_pb2.Attachment, label: str, size: int
) -> list[Figure]:
    simulated = mesh.ready.simulator
    assert simulated is not None
    token = mesh.simulator.call("POST", f"accounts/{address}/grants")["access_token"]
    base = f"{simulated.microsoft}/graph/v1.0/me/messages/{message_id}/attachments/{attachment.attachment_id}/$value"
    with _proxy(base, token, mesh.ready.ca_file) as (url, pid):
        _downloaded(url, {}, size, os.getpid())
        taken = _downloaded(url, {}, size, pid)
    return _figures(f"plain proxy, {label}", taken, size, "")


@contextmanager
def _proxy(target: str, token: str, authority: Path) -> Iterator[tuple[str, int]]:
    port = free_port()
    environment = {**os.environ, "TARGET": target, "TOKEN": token, "CA_FILE": str(authority)}
    process = subprocess.Popen([sys.executable, "-m", "bench.plain_proxy", str(port)], env=environment)  # noqa: S603
    try:
        url = f"http://127.0.0.1:{port}/"
        eventually(lambda: accepts(port), 30)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(10)


def _downloaded(url: str, headers: dict[str, str], size: int, pid: int) -> Taken:
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins at the present memory
    before, began, first, received = _memory(pid, "VmRSS"), time.monotonic(), 0.0, 0
    with httpx.stream("GET", url, headers=headers, timeout=60, trust_env=False) as answer:
        answer.raise_for_status()
        for piece in answer.iter_bytes():
            first = first or time.monotonic() - began
            received += len(piece)
    seconds = time.monotonic() - began
    assert received == size, f"{received} of {size} bytes"
    return Taken(first * 1000, seconds, (_memory(pid, "VmHWM") - before) / MEBIBYTE)


def _memory(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _figures(name: str, taken: Taken, size: int, bound: str) -> list[Figure]:
    return [
        Figure(f"{name}: first byte", taken.first_ms, "ms"),
        Figure(f"{name}: rate", size / MEBIBYTE / taken.seconds, "MiB/s"),
        Figure(f"{name}: peak growth of memory", taken.grown, "MiB", bound),
    ]


if __name__ == "__main__":
    measure.main(
        "download_attachment",
        "How much memory does a download of any size take, and how long does its first byte take?",
        "The whole mesh runs on one machine with the simulated providers. A client downloads one attachment through the"
        " edge by REST, after one download to warm up. The memory is that of Processor's server process, from its"
        " beginning to its peak (VmRSS, VmHWM). The plain proxy is one aiohttp process without an edge, which streams"
        " from the same simulated provider and checks nothing.",
        program,
    )
