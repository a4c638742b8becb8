"""`mailmesh tenants export`: everything that the mesh has stored about an account, in one file."""

import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import grpc
import typer
from tenacity import Retrying, retry_if_exception, stop_after_delay
from tenacity.wait import wait_random_exponential

from mailmesh.vault.v1 import export_service_pb2, export_service_pb2_grpc
from stack.cli.connection import channel
from stack.cli.exits import CommandError
from stack.cli.output import show
from stack.cli.progress import progress
from stack.cli.tenants import TenantArgument

FORMAT = 1
"""The version of the file's format."""
_PAGE_SECONDS = 60.0
_OUTAGE_SECONDS = 120.0
_LONGEST_PAUSE_SECONDS = 10.0
_PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
}


class ExportFile:
    """A file of JSON lines: a header, one line for each row, and a manifest with the digest of the lines before it.

    Args:
        file: The file, open for writing.
        header: The values of the first line.
    """

    def __init__(self, file: BinaryIO, header: dict[str, Any]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._tables: list[dict[str, Any]] = []
        self.rows = 0
        self._line(_json({"export": {"format": FORMAT, **header}}))

    def add(self, page: export_service_pb2.ExportTenantResponse) -> None:
        """Write the rows of a page.

        Raises:
            CommandError: A row is no single line, as no mesh sends it.
        """
        if not page.table:
            return
        place = {"service": page.service, "table": page.table}
        if not self._tables or {name: self._tables[-1][name] for name in place} != place:
            left_out = {one.column: one.reason for one in page.left_out}
            self._tables.append({**place, "schemaVersion": page.schema_version, "leftOut": left_out, "rows": 0})
        named = _json(place).removesuffix("}")
        for row in page.rows:
            if "\n" in row:
                raise CommandError(f"a row of {page.service} {page.table} is no line of JSON")
            self._line(f'{named},"row":{row}}}')
        self._tables[-1]["rows"] += len(page.rows)
        self.rows += len(page.rows)

    def close(self) -> None:
        """Write the manifest. The digest is that of all bytes before its line."""
        manifest = {"finishedAt": _now(), "rows": self.rows, "tables": self._tables, "sha256": self._digest.hexdigest()}
        self._line(_json({"manifest": manifest}))
        self._file.flush()
        os.fsync(self._file.fileno())

    def _line(self, text: str) -> None:
        content = text.encode() + b"\n"
        self._digest.update(content)
        self._file.write(content)


def export(
    context: typer.Context,
    tenant_id: TenantArgument,
    *,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="File to write; it must not exist.")],
    address: Annotated[str, typer.Option(help="Export only the rows that name this mail address of a person.")] = "",
) -> None:
    """Write everything that the mesh has stored about an account to a file: JSON, one line for each row.

    The file has what `tenants erase` would remove, without credentials and keys. Its last line is a manifest with the
    tables, the counts, the columns that are left out, and the SHA-256 of all bytes before that line. The command goes
    on through outages of two minutes; after a longer one, repeat it.

    Examples:
      mailmesh tenants export 019a9f0e-7c1e-7000-8000-00000000000a --to account.ndjson
      mailmesh tenants export 019a9f0e-7c1e-7000-8000-00000000000a --to ann.ndjson --address ann@example.com
    """
    header = {"tenantId": tenant_id, "startedAt": _now(), **({"address": address} if address else {})}
    request = export_service_pb2.ExportTenantRequest(tenant_id=tenant_id, address=address)
    with channel(context) as opened:
        pages = _pages(export_service_pb2_grpc.ExportServiceStub(opened), request)
        try:
            rows = _write(to, header, pages)
        except (OSError, ValueError) as fault:
            raise CommandError(f"{to} cannot be written: {fault}") from fault
    show(f"{to}  {rows} rows")


def _write(to: Path, header: dict[str, Any], pages: Iterator[export_service_pb2.ExportTenantResponse]) -> int:
    """Write a file that has its name only when it is whole, and that no other user may read; return the rows."""
    if to.exists():
        raise CommandError(f"{to} exists: choose another file")
    part = to.with_name(f"{to.name}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            written = ExportFile(file, header)
            with progress("Exporting", None) as bar:
                for page in pages:
                    written.add(page)
                    bar(written.rows)
            written.close()
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
    return written.rows


def _pages(
    stub: export_service_pb2_grpc.ExportServiceStub, request: export_service_pb2.ExportTenantRequest
) -> Iterator[export_service_pb2.ExportTenantResponse]:
    """Yield the pages. A page that fails for a while is read again; each has a deadline of its own."""
    reading = Retrying(
        stop=stop_after_delay(_OUTAGE_SECONDS),
        wait=wait_random_exponential(max=_LONGEST_PAUSE_SECONDS),
        retry=retry_if_exception(_is_passing),
        reraise=True,
    )
    while True:
        page = reading.copy()(lambda: stub.ExportTenant(request, timeout=_PAGE_SECONDS))
        yield page
        if not page.next_page_token:
            return
        if page.next_page_token == request.page_token:
            raise CommandError("the mesh answers the same page again and again")
        request.page_token = page.next_page_token


def _is_passing(failure: BaseException) -> bool:
    return isinstance(failure, grpc.RpcError) and failure.code() in _PASSING


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
