"""Search on the running mesh: enabled for a tenant, fed by its mail, and closed to every other tenant."""

import json
from typing import Any

import httpx
import pytest

from tests.mesh.accounts import PROVIDERS, connect, created_events, new_address, subscribe
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(500)


def found(mesh: Mesh, tenant: str, *words: str) -> list[Any]:
    """Search by the command line."""
    done = mesh.run("search", *words, "--tenant", tenant, "--json")
    assert done.returncode == 0, done.stderr
    hits: list[Any] = json.loads(done.stdout)
    return hits


@pytest.mark.parametrize("provider", PROVIDERS)
def test_mail_is_found_until_it_is_deleted_and_by_its_own_tenant_alone(mesh: Mesh, provider: str) -> None:
    address = new_address(mesh, provider)
    tenant, other = (
        connect(mesh, provider, address, ["mail.read"]),
        connect(mesh, provider, new_address(mesh, provider)),
    )
    subscribe(mesh, tenant)
    first = mesh.simulator.deliver(address, subject="Before", text="Rechnung Nr. INV-2026-0042 für Müller")
    eventually(lambda: created_events(mesh, tenant), what="the first mail is an event")
    refused = mesh.run("search", "rechnung", "--tenant", tenant)
    enabled = json.loads(mesh.run("search-settings", "enable", tenant, "--json").stdout)
    mesh.simulator.deliver(address, subject="Besprechung 木曜日", text="大丈夫です", **{"from": "ada@sub.example.com"})
    stored = eventually(lambda: found(mesh, tenant, "INV-2026-0042"), what="the stored mail is found")
    (arrived,) = eventually(lambda: found(mesh, tenant, "木曜日", "--from", "example.com"), what="new mail is found")
    with httpx.Client(base_url=mesh.ready.http, timeout=60, trust_env=False) as client:
        own, foreign = (_asked(mesh, client, tenant, _key(mesh, limited)) for limited in (tenant, other))
    mesh.simulator.call("DELETE", f"accounts/{address}/messages/{first['id']}")
    eventually(lambda: not found(mesh, tenant, "muller"), 400, what="the deleted mail is not found")
    disabled = json.loads(mesh.run("search-settings", "disable", tenant, "--json").stdout)

    assert (6, True) == (refused.returncode, "SEARCH_NOT_ENABLED" in refused.stderr)
    assert (True, False) == (enabled["settings"]["isEnabled"], disabled["settings"]["isEnabled"])
    assert [("Before", "Rechnung Nr. INV-2026-0042 für Müller")] == [(one["subject"], one["snippet"]) for one in stored]
    assert ("ada@sub.example.com", "大丈夫です") == (arrived["from"]["address"], arrived["snippet"])
    assert ["Before"] == [hit["subject"] for hit in own.json()["hits"]]
    assert (404, "TENANT_NOT_FOUND") == (foreign.status_code, foreign.json()["details"][0]["reason"])


def _key(mesh: Mesh, tenant: str) -> str:
    made = mesh.run("keys", "create", "searching", "--role", "reader", "--tenant", tenant)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def _asked(mesh: Mesh, client: httpx.Client, tenant: str, key: str) -> httpx.Response:
    asked = {"query": '"fur muller"', "hasAttachment": False}
    return client.post(f"/v1/tenants/{tenant}/mail:search", json=asked, headers={"authorization": f"Bearer {key}"})
