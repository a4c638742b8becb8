"""Rules and dashboards on the running mesh: Prometheus evaluates them all, and real faults let alerts fire."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from stack.ports import free_ports
from stack.programs.prometheus import PAGE, PrometheusServer, job_of
from stack.programs.running import running
from tests.mesh.accounts import connect, new_address, subscribe
from tests.mesh.console.walking import CHROMIUM, walked
from tests.mesh.delivery.receiver import receiving
from tests.programs.mesh import Mesh, eventually
from tests.programs.prometheus import PROMETHEUS, PROMTOOL, Scrape, exposed, firing, metrics_in, rules, scrape
from tests.programs.toolchains import require
from tools import dashboards

pytestmark = pytest.mark.timeout(500)
GRAPH = "/api/ms365/webhook"
BOARDS = [json.loads(text) for text in dashboards.files().values()]
QUERIES = {target["expr"] for board in BOARDS for panel in board["panels"] for target in panel["targets"]}
# Prometheus and the rules make these themselves.
MADE = {rule["record"] for rule in rules() if "record" in rule} | {"up"}
BREAK = """
UPDATE vault.tenant_tokens SET access_token = overlay(access_token placing '\\x00' from 40),
  refresh_token = overlay(refresh_token placing '\\x00' from 40)
WHERE tenant_id = $1
"""
EXPIRE = "UPDATE vault.tenant_tokens SET expires_at = now(), next_refresh_at = now() WHERE tenant_id = $1"
TRIES = 15
ENDED = {
    "MailmeshKeyGuessing",
    "MailmeshForgedWebhooks",
    "MailmeshTokenRefreshFailures",
    "MailmeshSubscriptionRenewalFailures",
    "MailmeshDeliveriesFail",
    "MailmeshEndpointsEnded",
    "MailmeshSealBroken",
}


def read_metrics() -> set[str]:
    """Return the names of the exported metrics that rules and dashboards read."""
    return metrics_in(*(rule["expr"] for rule in rules()), *QUERIES) - MADE


def test_the_mesh_exports_each_metric_of_rules_and_dashboards(mesh: Mesh) -> None:
    text = "\n".join(exposed(mesh).values())
    declared = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    families = declared | {f"{name}{end}" for name in declared for end in ("_bucket", "_sum", "_count")}

    assert read_metrics() <= families


def test_prometheus_reads_all_processes_and_evaluates_rules_and_dashboards(mesh: Mesh, tmp_path: Path) -> None:
    require(PROMETHEUS)
    jobs = {job_of(name) for name in mesh.ready.metrics}
    with prometheus(mesh, tmp_path) as server:
        ask = asking(server)
        eventually(lambda: {one["metric"]["job"] for one in ask("query", query="up == 1")["result"]} >= jobs)
        groups = eventually(lambda: evaluated(ask("rules")["groups"]))
        answers = {query: ask("query", query=query)["resultType"] for query in QUERIES}

    assert [] == [rule["lastError"] for group in groups for rule in group["rules"] if rule["health"] != "ok"]
    assert {"vector"} == set(answers.values())
    assert len(rules()) == sum(len(group["rules"]) for group in groups)


def evaluated(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the groups once each rule was evaluated, else none."""
    return groups if all(rule["health"] != "unknown" for group in groups for rule in group["rules"]) else []


@contextmanager
def prometheus(mesh: Mesh, folder: Path) -> Iterator[PrometheusServer]:
    """Run Prometheus as `mailmesh up --watch-ui` does, on a mesh that runs."""
    server = PrometheusServer(folder / "prometheus", free_ports(1)[0], mesh.ready.metrics, interval_seconds=1)
    with running(server.program(), folder):
        yield server


def asking(server: PrometheusServer) -> Callable[..., Any]:
    """Return a function that asks the API of Prometheus."""

    def ask(path: str, **parameters: str) -> Any:
        url = f"{server.url.removesuffix(PAGE)}/api/v1/{path}"
        answer = httpx.get(url, params=parameters, timeout=20, trust_env=False).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    return ask


def test_the_page_of_the_dashboards_draws_the_panels_in_chromium(mesh: Mesh, tmp_path: Path) -> None:
    require(PROMETHEUS, "node", "node_modules/playwright-core/cli.js", CHROMIUM)
    with prometheus(mesh, tmp_path) as server:
        boards = [one["title"].removeprefix("mailmesh: ") for one in BOARDS]
        given = {"url": server.url.removesuffix(PAGE), "page": server.url, "boards": boards, "chromium": CHROMIUM}
        steps = walked("dashboards.mjs", given)

    assert {} == {step["step"]: step["error"] for step in steps if step["error"]}
    assert 2 + len(BOARDS) == len(steps)


def test_real_faults_let_their_alerts_fire(mesh: Mesh, tmp_path: Path) -> None:
    """Seven faults at once; each counter is taken to grow on as measured, so that no test waits for an alert's time."""
    require(PROMTOOL)
    addresses = [new_address(mesh, "ms365") for _ in range(4)]
    failing, renewing, sealed, delivered = (connect(mesh, "ms365", address) for address in addresses)
    subscription, _ = subscribe(mesh, renewing), subscribe(mesh, delivered)
    before = scrape(mesh, read_metrics())
    quiet = firing(before, Scrape(before.at + 60, before.figures), tmp_path)
    faults = [
        mesh.simulator.fault(kind="status", status=503, endpoint="ms.token", account=addresses[0]),
        mesh.simulator.fault(kind="status", status=403, endpoint="graph.subscriptions.renew", account=addresses[1]),
    ]
    with receiving() as gone, receiving() as broken:
        gone.answer, broken.answer = lambda *_: (410, {}), lambda *_: (500, {})
        for receiver in (gone, broken):
            made = mesh.run("endpoints", "create", receiver.url, "--event-type", "mail.*", "--tenant", delivered)
            assert made.returncode == 0, made.stderr
        mesh.simulator.generate(addresses[3], 3)
        guess_keys(mesh, 600)
        forge_notifications(mesh, 600)
        break_seal(mesh, sealed)
        expire_token(mesh, failing)
        for tenant in (failing, sealed):
            mesh.run("tenants", "test", tenant)
        mesh.run("subscriptions", "renew", subscription.subscription_id)
        # The rates are those of these seconds: a later scrape does not thin them out.
        after = Scrape(time.monotonic(), {})
        found: set[str] = set()
        for _ in range(TRIES):
            found |= firing(before, Scrape(after.at, scrape(mesh, read_metrics()).figures), tmp_path)
            if found >= ENDED:
                break
            time.sleep(1)
    for fault in faults:
        mesh.simulator.call("DELETE", f"faults/{fault}")

    assert quiet & ENDED == set()
    assert sorted(ENDED - found) == []


def guess_keys(mesh: Mesh, count: int) -> None:
    """Call the API with keys that do not exist."""
    with httpx.Client(base_url=mesh.ready.http, timeout=60, trust_env=False) as client, ThreadPoolExecutor(8) as pool:
        headers = [{"authorization": f"Bearer mm_{number:08d}_{'x' * 43}"} for number in range(count)]
        statuses = set(pool.map(lambda one: client.get("/v1/tenants", headers=one).status_code, headers))
    assert statuses <= {401, 429}


def forge_notifications(mesh: Mesh, count: int) -> None:
    """Send notifications for subscriptions that do not exist."""
    items = [
        {
            "subscriptionId": str(uuid.uuid4()),
            "clientState": "guessed",
            "changeType": "created",
            "resource": f"Users/u/Messages/{number}",
            "resourceData": {"@odata.type": "#Microsoft.Graph.Message", "@odata.etag": "e", "id": str(number)},
        }
        for number in range(count)
    ]
    for first in range(0, count, 100):
        body = {"value": items[first : first + 100]}
        answer = httpx.post(f"{mesh.ready.http}{GRAPH}", json=body, timeout=60, trust_env=False)
        assert answer.status_code == 202


def break_seal(mesh: Mesh, tenant: str) -> None:
    """Alter a byte of an account's sealed tokens, as an intruder in the database does."""
    asyncio.run(execute(mesh, BREAK, tenant))


def expire_token(mesh: Mesh, tenant: str) -> None:
    """Let an account's access token be at its end, as after its hour."""
    asyncio.run(execute(mesh, EXPIRE, tenant))


async def execute(mesh: Mesh, statement: str, tenant: str) -> None:
    """Change the row of an account's tokens."""
    url = json.loads((mesh.data / "environments/token-vault.json").read_text())["MAILMESH_DATABASE_URL"]
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement, tenant)
    finally:
        await connection.close()
