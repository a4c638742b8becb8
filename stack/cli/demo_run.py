"""The demo: two mailboxes, mails, duplicates, two outages; every mail becomes one event, and an answer one mail."""

import collections
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import grpc
import httpx
from rich.console import Console
from rich.live import Live

from mailmesh.ingest.v1 import subscription_service_pb2, subscription_service_pb2_grpc
from mailmesh.processor.v1 import event_pb2
from mailmesh.vault.v1 import tenant_pb2, tenant_service_pb2, tenant_service_pb2_grpc
from stack.browser import Browser
from stack.cli.connection import with_key
from stack.cli.demo_answer import ask, prove_answer
from stack.cli.demo_stream import Deadline, StreamReader
from stack.cli.events import live_table, row_of
from stack.errors import StackError
from stack.programs.program import Program
from stack.programs.running import wait_until
from stack.ready import Ready
from stack.report import Report
from stack.simulated import SimulatorControl
from stack.terminal import line

MAILS_EACH = 20
ACCOUNTS = (("ms365", "anna@contoso.test"), ("googlews", "carla@fabrikam.test"))
ABILITIES = ("mail.read", "mail.send")
KILLED = ("ingest-1", "worker-1")
READY_SECONDS = 90.0
STOP_SECONDS = 60.0
ARRIVAL_SECONDS = 60.0
CALL_SECONDS = 30.0
# Long enough for a repeated notification to become a second event, if it could.
QUIET_SECONDS = 1.5
REST_PAGE = 15


class DemoError(StackError):
    """The demo found a lost or doubled mail, or could not run."""


@dataclass
class Seen:
    """The events of the stream so far.

    Attributes:
        events: In the order of arrival.
    """

    events: list[event_pb2.Event] = field(default_factory=list)

    @property
    def created(self) -> list[event_pb2.Event]:
        """The events that announce new mail."""
        return [event for event in self.events if event.mail.event_type == "mail.created"]


def demo(console: Console) -> None:
    """Runs the demo.

    Args:
        console: The terminal or pipe to write to.

    Raises:
        StackError: The mesh did not start, or did not keep its promise.
    """
    report = Report(console)
    started = time.monotonic()
    with _mesh(report) as ready:
        control = SimulatorControl(_simulator(ready))
        with grpc.insecure_channel(ready.grpc, [("grpc.enable_http_proxy", 0)]) as plain:
            channel = with_key(plain, ready.admin_key_file.read_text().strip())
            tenants = [_connect(channel, ready, report, *account) for account in ACCOUNTS]
            for tenant in tenants:
                _subscribe(channel, report, tenant)
            delivered, seen = _deliver_and_watch(channel, ready, control, report)
            _prove_stream(report, delivered, seen)
            _prove_rest(ready, report, seen)
            prove_answer(channel, ready, control, report, seen.created)
    console.print(
        line(
            (f"Each of the {len(delivered)} mails became exactly one event, and the answer one mail.", "bold green"),
            (f" {time.monotonic() - started:.0f} s", "dim"),
        )
    )


@contextlib.contextmanager
def _mesh(report: Report) -> Iterator[Ready]:
    """Runs a mesh in a temporary folder; of both nothing is left, even when this process is killed."""
    with tempfile.TemporaryFile() as output:
        folder = Path(tempfile.mkdtemp(prefix="mm-demo-"))
        folder.chmod(0o711)
        command = (sys.executable, "-m", "stack.demo_mesh", str(folder))
        process = subprocess.Popen(
            Program("demo", command, is_ready=bool).tethered_command(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield _when_ready(folder / "data" / "ready.json", process, output, report)
        finally:
            _end(process, folder)


def _when_ready(file: Path, process: "subprocess.Popen[bytes]", output: IO[bytes], report: Report) -> Ready:
    with report.step("Starting PostgreSQL, Redis, Envoy, three services, a worker, two providers", "the mesh is up"):
        wait_until(lambda: file.exists() or process.poll() is not None, READY_SECONDS)
    if not file.exists():
        output.seek(0)
        raise DemoError(f"the mesh did not start:\n{output.read().decode(errors='replace')}")
    return Ready.read(file)


def _end(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    # Usually it is gone: the process of the mesh removes it.
    shutil.rmtree(folder, ignore_errors=True)


def _simulator(ready: Ready) -> str:
    if ready.simulator is None:
        raise DemoError("the demo needs the simulated providers")
    return ready.simulator.control


def _connect(channel: grpc.Channel, ready: Ready, report: Report, provider: str, address: str) -> tenant_pb2.Tenant:
    """Connects an account through the provider's own consent page."""
    stub = tenant_service_pb2_grpc.TenantServiceStub(channel)
    with report.step(f"Connecting {address}", f"{address} is connected through {provider}'s consent page"):
        request = tenant_service_pb2.StartAuthorizationRequest(
            provider=provider, login_hint=address, abilities=ABILITIES
        )
        url = stub.StartAuthorization(request, timeout=CALL_SECONDS).authorization_url
        with Browser(ready.ca_file) as browser:
            page = browser.consent(url, address)
        found = stub.ListTenants(tenant_service_pb2.ListTenantsRequest(address=address), timeout=CALL_SECONDS).tenants
    if not found:
        raise DemoError(f"{address} was not connected: {page.status} {page.text}")
    return found[0]


def _subscribe(channel: grpc.Channel, report: Report, tenant: tenant_pb2.Tenant) -> None:
    stub = subscription_service_pb2_grpc.SubscriptionServiceStub(channel)
    request = subscription_service_pb2.CreateSubscriptionRequest(tenant_id=tenant.tenant_id)
    with report.step(f"Subscribing to {tenant.address}", f"{tenant.provider} pushes changes of {tenant.address}"):
        stub.CreateSubscription(request, timeout=CALL_SECONDS)


def _deliver_and_watch(
    channel: grpc.Channel, ready: Ready, control: SimulatorControl, report: Report
) -> tuple[list[str], Seen]:
    """Delivers the mails while a stream is read; returns the mails' ids and the events of the stream."""
    delivered: list[str] = []
    seen = Seen()
    reader = StreamReader(channel, "earliest")
    postman = ThreadPoolExecutor(max_workers=1).submit(_deliver, control, ready, report, delivered)
    wanted = MAILS_EACH * len(ACCOUNTS) + 1
    deadline = Deadline(ARRIVAL_SECONDS, lambda: postman.done() and len(seen.created) >= wanted, QUIET_SECONDS)
    with _table(report.console) as show:
        for event in reader.until(deadline):
            seen.events.append(event)
            show(event)
    postman.result(CALL_SECONDS)
    return delivered, seen


def _deliver(control: SimulatorControl, ready: Ready, report: Report, delivered: list[str]) -> None:
    """Delivers a question and half, kills the processes of mail, delivers the rest; a third is reported twice."""
    control.fault(kind="double", endpoint="notify.*", probability=0.35)
    delivered.append(ask(control, ACCOUNTS[0][1]))
    for half in range(2):
        for number in range(MAILS_EACH // 2):
            for _, address in ACCOUNTS:
                first = half * (MAILS_EACH // 2) + number
                delivered.extend(mail["id"] for mail in control.generate(address, 1, first=first))
        if half == 0:
            _outage(ready, report)


def _outage(ready: Ready, report: Report) -> None:
    for name in KILLED:
        os.kill(ready.processes[name], signal.SIGKILL)
    report.warn(f"outage: {' and '.join(KILLED)} were killed; mail keeps arriving")


@contextlib.contextmanager
def _table(console: Console) -> Iterator[Any]:
    """Gives a function that shows an event: in a live table, or as lines in a pipe."""
    rows: list[tuple[str, ...]] = []
    if not console.is_terminal:
        yield lambda event: console.print(line("  ".join(row_of(event)[:-1])), soft_wrap=True)
        return
    with Live(live_table(rows), console=console, refresh_per_second=10) as live:

        def show(event: event_pb2.Event) -> None:
            rows.append(row_of(event))
            live.update(live_table(rows))

        yield show


def _prove_stream(report: Report, delivered: Sequence[str], seen: Seen) -> None:
    """Compares the delivered mails with the events of the stream."""
    announced = collections.Counter(event.mail.message_id for event in seen.created)
    missing = [mail for mail in delivered if mail not in announced]
    doubled = [mail for mail, times in announced.items() if times > 1]
    strange = [mail for mail in announced if mail not in delivered]
    bare = [event.mail.event_id for event in seen.created if not event.mail.is_enriched]
    if missing or doubled or strange:
        raise DemoError(
            f"of {len(delivered)} mails {len(missing)} are missing and {len(doubled)} came twice; "
            f"{len(strange)} were never delivered"
        )
    if bare:
        raise DemoError(f"{len(bare)} events came without their mail")
    report.note(f"stream: {len(seen.created)} new mails, each announced once, none missing")


def _prove_rest(ready: Ready, report: Report, seen: Seen) -> None:
    """Reads the same events over REST, page by page, and compares the ids."""
    key = ready.admin_key_file.read_text().strip()
    over_rest: list[str] = []
    cursor = "earliest"
    with httpx.Client(headers={"authorization": f"Bearer {key}"}, timeout=CALL_SECONDS, trust_env=False) as client:
        while True:
            query = {"cursor": cursor, "pageSize": str(REST_PAGE), "filter.eventTypes": "mail.created"}
            page = client.get(f"{ready.http}/v1/events", params=query).raise_for_status().json()
            over_rest += [event["mail"]["eventId"] for event in page.get("events", ())]
            cursor = page["nextCursor"]
            if not page.get("hasMore"):
                break
    if over_rest != [event.mail.event_id for event in seen.created]:
        raise DemoError(f"REST returns {len(over_rest)} events and the stream {len(seen.created)}, or in another order")
    report.note(f"REST: GET /v1/events returns the same {len(over_rest)} events in the same order")
