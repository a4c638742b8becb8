"""Rights on the running mesh: an ability that is added later, and keys that lack one."""

import json
import subprocess
import sys

import httpx
import pytest

from mailmesh.vault.v1 import audit_service_pb2 as audit
from mailmesh.vault.v1 import audit_service_pb2_grpc as audit_services
from mailmesh.vault.v1 import tenant_service_pb2 as messages
from mailmesh.vault.v1 import tenant_service_pb2_grpc as services
from tests.mesh.accounts import (
    PROVIDERS,
    connect,
    new_address,
    subscribe,
    subscription_of,
    tenant_of,
    told_when_all_are,
)
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_adding_an_ability_keeps_the_tenant_its_subscription_and_its_place_in_the_mailbox(
    mesh: Mesh, provider: str
) -> None:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address)
    subscription = subscribe(mesh, tenant)
    mails = mesh.simulator.generate(address, 2)
    assert eventually(lambda: told_when_all_are(mesh, tenant, 2), 60)

    added = _add(mesh, tenant, address, "mail.send")
    mails += mesh.simulator.generate(address, 2, first=2)
    told = eventually(lambda: told_when_all_are(mesh, tenant, 4), 60)
    after, shown = tenant_of(mesh, tenant), mesh.run("tenants", "get", tenant).stdout

    assert (tenant, []) == (added.tenant_id, list(added.missing_abilities))
    assert ["mail.read", "mail.send"] == list(after.granted_abilities)
    assert "mail.read mail.send" in shown
    assert subscription.subscription_id == subscription_of(mesh, subscription.subscription_id).subscription_id
    assert sorted(mail["id"] for mail in mails) == told  # each once: nothing was reported again
    assert {"authorization.start": "mail.read mail.send", "tenant.reconnect": "mail.read mail.send"} == _recorded(
        mesh, tenant, "authorization.start", "tenant.reconnect"
    )


def test_the_command_line_names_what_a_person_unticked(mesh: Mesh) -> None:
    address, compose = new_address(mesh, "googlews"), "https://www.googleapis.com/auth/gmail.compose"
    wanted = ("--ability", "mail.read", "--ability", "mail.send")
    words = (sys.executable, "-m", "stack", "--data", str(mesh.data), "connect", "googlews", "--no-browser", *wanted)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        page = mesh.consent(waiting.stderr.readline().strip(), address, without=frozenset({compose}))
        shown, complaint = waiting.communicate(timeout=60)
    found = json.loads(mesh.run("tenants", "list", "--address", address, "--json").stdout)
    tested = mesh.run("tenants", "test", found[0]["tenantId"])

    assert waiting.returncode == 0, complaint
    assert "abilities: mail.read\n" in shown
    assert f"not granted: mail.send; `mailmesh connect googlews --tenant {found[0]['tenantId']}` asks again" in shown
    assert "did not allow it to send mail" in page.text
    assert (0, True) == (tested.returncode, f"not granted: mail.send lacks {compose}" in tested.stdout)


def test_a_key_without_the_ability_is_refused_by_rest_and_the_command_line(mesh: Mesh) -> None:
    made = json.loads(
        mesh.run("keys", "create", "files", "--role", "operator", "--ability", "mail.mark", "--json").stdout
    )
    listed = next(key for key in json.loads(mesh.run("keys", "list", "--json").stdout) if key["displayName"] == "files")
    headers = {"authorization": f"Bearer {made['secret']}"}
    with httpx.Client(base_url=mesh.ready.http, headers=headers, timeout=30, trust_env=False) as client:
        tenants, events = client.get("/v1/tenants"), client.get("/v1/events")

    assert ["mail.mark"] == made["apiKey"]["abilities"] == listed["abilities"]
    assert (200, 403) == (tenants.status_code, events.status_code)
    detail = events.json()["details"][0]
    assert ("KEY_LACKS_ABILITY", {"required_ability": "mail.read", "abilities": "mail.mark"}) == (
        detail["reason"],
        detail["metadata"],
    )


def test_a_key_never_makes_a_key_with_more_abilities(mesh: Mesh) -> None:
    narrow = json.loads(
        mesh.run("keys", "create", "narrow", "--role", "admin", "--ability", "mail.read", "--json").stdout
    )
    headers = {"authorization": f"Bearer {narrow['secret']}"}
    with httpx.Client(base_url=mesh.ready.http, headers=headers, timeout=30, trust_env=False) as client:
        answers = {
            name: client.post("/v1/api-keys", json={"displayName": "wide", "role": role, "abilities": abilities})
            for name, role, abilities in (
                ("other", "ROLE_READER", ["mail.send"]),
                ("all", "ROLE_READER", ["*"]),
                ("default of an admin", "ROLE_ADMIN", []),
                ("unknown", "ROLE_READER", ["mail.delete"]),
                ("all and more", "ROLE_READER", ["*", "mail.read"]),
                ("same", "ROLE_READER", []),
            )
        }
    reasons = {name: _reason(answer) for name, answer in answers.items()}

    assert {
        "other": "SCOPE_TOO_WIDE",
        "all": "SCOPE_TOO_WIDE",
        "default of an admin": "SCOPE_TOO_WIDE",
        "unknown": "ABILITY_UNKNOWN",
        "all and more": "ABILITY_UNKNOWN",
        "same": "",
    } == reasons
    assert ["mail.read"] == answers["same"].json()["apiKey"]["abilities"]


def _add(mesh: Mesh, tenant: str, address: str, ability: str) -> messages.GetAuthorizationResponse:
    """Connects a tenant again with one more ability."""
    stub = services.TenantServiceStub(mesh.channel)
    request = messages.StartAuthorizationRequest(tenant_id=tenant, login_hint=address, abilities=[ability])
    started = stub.StartAuthorization(request)
    mesh.consent(started.authorization_url, address)
    return stub.GetAuthorization(messages.GetAuthorizationRequest(flow_id=started.flow_id))


def _recorded(mesh: Mesh, tenant: str, *actions: str) -> dict[str, str]:
    """Returns the abilities in the newest entry of each action."""
    stub = audit_services.AuditServiceStub(mesh.channel)
    found = {}
    for action in actions:
        request = audit.ListAuditEntriesRequest(tenant_id=tenant, action=action, page_size=1)
        (entry,) = stub.ListAuditEntries(request).audit_entries
        found[action] = entry.detail["abilities"]
    return found


def _reason(answer: httpx.Response) -> str:
    return "" if answer.status_code == 200 else str(answer.json()["details"][0]["reason"])
