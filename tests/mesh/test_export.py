"""The export of a tenant on the running mesh: one file with everything of the tenant, and nothing of its neighbour."""

import hashlib
import json
import stat
import time
from pathlib import Path
from typing import Any

from mailmesh.vault.v1 import export_service_pb2, export_service_pb2_grpc
from tests.mesh.accounts import created_events
from tests.mesh.test_erasure import SERVICES, Account
from tests.programs.mesh import Mesh


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the lines of an export whose manifest fits them."""
    content = path.read_bytes().splitlines(keepends=True)
    lines = [json.loads(line) for line in content]
    manifest = lines[-1]["manifest"]
    assert hashlib.sha256(b"".join(content[:-1])).hexdigest() == manifest["sha256"]
    assert len(lines) - 2 == manifest["rows"] == sum(table["rows"] for table in manifest["tables"])
    return lines


def test_the_file_has_everything_of_the_tenant_and_nothing_of_its_neighbour(mesh: Mesh, tmp_path: Path) -> None:
    mark = f"{time.time_ns():x}"
    mine, other = Account(mesh, "ms365", f"canary{mark}a"), Account(mesh, "googlews", f"canary{mark}b")
    mine.fill(mesh)
    other.fill(mesh)
    file = tmp_path / "mine.ndjson"
    done = mesh.run("tenants", "export", mine.tenant, "--to", str(file))
    assert done.returncode == 0, done.stderr
    again = mesh.run("tenants", "export", mine.tenant, "--to", str(file))

    lines, text = lines_of(file), file.read_text()
    tables = {(table["service"], table["table"]): table for table in lines[-1]["manifest"]["tables"]}
    assert (0o600, [file]) == (stat.S_IMODE(file.stat().st_mode), list(tmp_path.iterdir()))
    assert (1, True) == (again.returncode, "exists" in again.stderr)
    assert set(SERVICES) == {service for service, _ in tables}
    assert other.word not in text
    assert other.tenant not in text
    assert other.address not in text
    assert "a secret" == tables["token-vault", "tenant_tokens"]["leftOut"]["refresh_token"]
    events = [line["row"]["event"]["mail"] for line in lines if line.get("table") == "events" and _is_mail(line)]
    ids = {event.mail.event_id for event in created_events(mesh, mine.tenant)}
    assert ids <= {event["eventId"] for event in events}
    assert any(f"Text {mine.word}" in event["message"]["body"]["text"] for event in events)
    (sent,) = [line["row"] for line in lines if line.get("table") == "sends"]
    assert f"Mail {mine.word}" == sent["request"]["mail"]["text"]
    assert tables["processor", "search_mails"]["rows"] >= 3
    audit = mesh.run("audit", "--tenant", mine.tenant, "--json").stdout
    assert "tenant.export" in audit


def _is_mail(line: dict[str, Any]) -> bool:
    return "mail" in (line["row"]["event"] or {})


def test_the_rows_of_one_person_are_exported(mesh: Mesh, tmp_path: Path) -> None:
    account = Account(mesh, "googlews", f"canary{time.time_ns():x}c")
    account.fill(mesh)
    file, person = tmp_path / "person.ndjson", f"{account.word}-1@example.test"
    done = mesh.run("tenants", "export", account.tenant, "--to", str(file), "--address", person)
    assert done.returncode == 0, done.stderr
    rows = lines_of(file)[1:-1]

    assert {"events", "thread_participants"} <= {row["table"] for row in rows}
    assert [] == [row for row in rows if person not in json.dumps(row)]
    assert f"{account.word}-2@" not in file.read_text()


def test_pages_are_read_again_by_their_tokens(mesh: Mesh) -> None:
    account = Account(mesh, "ms365", f"canary{time.time_ns():x}d")
    stub = export_service_pb2_grpc.ExportServiceStub(mesh.channel)
    request = export_service_pb2.ExportTenantRequest(tenant_id=account.tenant)
    first = stub.ExportTenant(request)
    request.page_token = first.next_page_token
    second, same = stub.ExportTenant(request), stub.ExportTenant(request)

    assert (second.service, second.table, list(second.rows)) == (same.service, same.table, list(same.rows))
    assert ("token-vault", first.schema_version) == (second.service, second.schema_version)
