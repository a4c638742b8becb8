"""Every place of a running mesh that could contain a secret, as text that can be searched."""

import base64
import gzip
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import asyncpg
import httpx
import psutil
import redis

from stack.blocking import run_blocking
from stack.programs.postgres import SUPERUSER, PostgresServer
from stack.programs.redis import RedisServer
from tests.programs.collector import Collector
from tests.programs.mesh import Mesh
from tests.security.doors import port_of

SYSTEM_SCHEMAS = ("pg_catalog", "information_schema", "pg_toast")
DATABASE = "mailmesh"
MIN_SECRET_CHARACTERS = 6


def spellings(secret: str) -> list[bytes]:
    """Return the forms in which a secret can appear: plain, in a URL, in JSON, in base64, in hexadecimal."""
    assert len(secret) >= MIN_SECRET_CHARACTERS, secret
    raw = secret.encode()
    plain = {
        raw,
        quote(secret, safe="").encode(),
        secret.replace("/", "\\/").encode(),
        raw.hex().encode(),
        base64.b64encode(raw).rstrip(b"="),
        base64.urlsafe_b64encode(raw).rstrip(b"="),
    }
    return sorted(plain)


def found_in(secrets: dict[str, set[str]], places: dict[str, bytes]) -> set[tuple[str, str]]:
    """Return pairs of the name of a secret and the place that exposes it."""
    return {
        (name, place)
        for name, values in secrets.items()
        for value in values
        for spelling in spellings(value)
        for place, content in places.items()
        if spelling in content
    }


def logs(mesh: Mesh) -> dict[str, bytes]:
    """Return the log of every process, the rotated ones too, and the output of `mailmesh up`."""
    files = {f"log {path.name}": path.read_bytes() for path in sorted(mesh.ready.log_folder.iterdir())}
    return files | {"log of mailmesh up": mesh.log.read_bytes()}


def metrics(mesh: Mesh) -> dict[str, bytes]:
    """Return the metrics and status of every process, the edge's own interface included."""
    pages = {name: httpx.get(url, trust_env=False, timeout=60).content for name, url in mesh.ready.metrics.items()}
    transport = httpx.HTTPTransport(uds=str(mesh.data / "run" / "envoy-admin.sock"))
    with httpx.Client(transport=transport, base_url="http://edge", timeout=60) as admin:
        pages |= {f"edge {page}": admin.get(f"/{page}").content for page in ENVOY_PAGES}
    return {f"metrics {name}": page for name, page in pages.items()}


ENVOY_PAGES = ("stats?format=prometheus", "clusters", "config_dump", "server_info")


def traces(collector: Collector) -> dict[str, bytes]:
    """Return all spans, as text."""
    return {"traces": "\n".join(f"{span} {span.span}" for span in collector.spans).encode()}


def processes(mesh: Mesh) -> dict[str, bytes]:
    """Return the arguments of every process of the mesh, which anyone on the machine may read."""
    family = [mesh.process.pid, *(child.pid for child in psutil.Process(mesh.process.pid).children(recursive=True))]
    assert len(family) >= len(mesh.ready.processes)
    return {f"arguments of {pid}": _arguments(pid) for pid in family}


def _arguments(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def environments(mesh: Mesh) -> dict[str, bytes]:
    """Return the variables of every process of the mesh: those it was given, and those that the system shows."""
    given = {path.stem: path.read_bytes() for path in (mesh.data / "environments").glob("*.json")}
    found = {}
    for name, pid in mesh.ready.processes.items():
        # The tether of a program has passed its variables to its child, the program itself.
        family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
        if name not in ("up", "supervisor"):
            shown = b"\0".join(Path(f"/proc/{one}/environ").read_bytes() for one in family)
            found[name] = given[name] + shown
    return found


def database(mesh: Mesh) -> dict[str, bytes]:
    """Return every table of every schema: each value as stored, and also decompressed if it is compressed."""
    server = PostgresServer(mesh.data / "postgres", mesh.data / "run", mesh.data / "postgres.password")
    return run_blocking(_dump(server.url(SUPERUSER, database=DATABASE)))


async def _dump(url: str) -> dict[str, bytes]:
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname <> ALL($1) ORDER BY 1, 2", SYSTEM_SCHEMAS
        )
        return {
            f"table {schema}.{name}": b"\n".join(
                _value(value)
                for row in await connection.fetch(f'SELECT * FROM "{schema}"."{name}"')  # noqa: S608 - names of tables
                for value in row.values()
            )
            for schema, name in tables
        }
    finally:
        await connection.close()


def _value(value: object) -> bytes:
    return value + b"\n" + _unpacked(value) if isinstance(value, bytes) else str(value).encode()


def _unpacked(value: bytes) -> bytes:
    for unpack in (zlib.decompress, gzip.decompress):
        try:
            return unpack(value)
        except (zlib.error, OSError, EOFError):
            continue
    return b""


def redis_url(mesh: Mesh) -> str:
    """Return the address of the mesh's Redis."""
    password = (mesh.data / "redis" / "password").read_text()
    return RedisServer(mesh.data / "redis", port_of(mesh, "redis"), password).url()


class RedisEar:
    """Records every command that Redis receives while it listens, so that no short-lived value escapes the search."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @contextmanager
    def listening(self, url: str) -> Iterator[None]:
        """Listen while the block runs."""
        client = redis.Redis.from_url(url, socket_timeout=5)
        stop = threading.Event()
        with client.monitor() as monitor:
            thread = threading.Thread(target=self._listen, args=(monitor, stop), daemon=True)
            thread.start()
            try:
                yield
            finally:
                stop.set()
                thread.join(40)
        client.close()

    def _listen(self, monitor: "redis.client.Monitor", stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self.heard.append(str(monitor.next_command()))
            except redis.TimeoutError:
                continue

    def content(self, url: str) -> dict[str, bytes]:
        """Return the recorded commands, and every present key with its serialized value."""
        client = redis.Redis.from_url(url)
        keys = list(client.scan_iter(count=1000))
        kept = b"\n".join(key + b" " + (client.dump(key) or b"") for key in keys)
        client.close()
        return {"redis commands": "\n".join(self.heard).encode(), "redis keys": kept}
