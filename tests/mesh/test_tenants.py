"""The life of a tenant on the running mesh: lost grants, reconnects, disabling, disconnecting."""

from functools import partial

import pytest

from mailmesh.vault.v1 import tenant_pb2
from mailmesh.vault.v1 import tenant_service_pb2 as messages
from mailmesh.vault.v1 import tenant_service_pb2_grpc as services
from tests.mesh.accounts import PROVIDERS, connect, new_address, subscribe, tenant_of, told_when_all_are
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_healthy_connection_tests_well(mesh: Mesh, provider: str) -> None:
    tenant = connect(mesh, provider, new_address(mesh, provider))
    done = mesh.run("tenants", "test", tenant)

    assert done.returncode == 0, done.stderr
    assert "healthy" in done.stdout


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_revoked_grant_waits_for_a_reconnect_and_loses_no_mail(mesh: Mesh, provider: str) -> None:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address)
    subscribe(mesh, tenant)
    mesh.simulator.call("POST", f"accounts/{address}/revoke")
    eventually(partial(_is_found_lost, mesh, tenant), 60)
    mails = mesh.simulator.generate(address, 3)

    _reconnect(mesh, tenant, address)

    assert tenant_of(mesh, tenant).status == tenant_pb2.TENANT_STATUS_ACTIVE
    wanted = sorted(mail["id"] for mail in mails)
    assert eventually(lambda: told_when_all_are(mesh, tenant, len(wanted)), 60) == wanted


def test_a_refusal_of_the_app_marks_no_tenant_and_loses_no_mail(mesh: Mesh) -> None:
    address = new_address(mesh, "googlews")
    tenant = connect(mesh, "googlews", address)
    subscribe(mesh, tenant)
    rule = {"kind": "status", "status": 403, "code": "accessNotConfigured", "endpoint": "gmail.*", "account": address}
    fault = mesh.simulator.fault(**rule)
    mails = mesh.simulator.generate(address, 2)
    eventually(partial(_has_struck, mesh, fault), 60, what="the mail is asked for")

    tested = services.TenantServiceStub(mesh.channel).TestConnection(messages.TestConnectionRequest(tenant_id=tenant))
    assert tested.reason == "INSTALLATION_MISCONFIGURED"
    assert tenant_of(mesh, tenant).status == tenant_pb2.TENANT_STATUS_ACTIVE

    mesh.simulator.call("DELETE", f"faults/{fault}")
    wanted = sorted(mail["id"] for mail in mails)
    assert eventually(lambda: told_when_all_are(mesh, tenant, len(wanted)), 150) == wanted


@pytest.mark.parametrize("provider", PROVIDERS)
def test_mail_of_a_disabled_time_is_told_after_enabling(mesh: Mesh, provider: str) -> None:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address)
    subscribe(mesh, tenant)
    assert mesh.run("tenants", "disable", tenant).returncode == 0
    mails = mesh.simulator.generate(address, 2)
    assert mesh.simulator.wait_until_idle(50)
    assert mesh.run("tenants", "enable", tenant).returncode == 0

    wanted = sorted(mail["id"] for mail in mails)
    assert eventually(lambda: told_when_all_are(mesh, tenant, len(wanted)), 60) == wanted


@pytest.mark.parametrize("provider", PROVIDERS)
def test_disconnecting_destroys_the_credentials_and_ends_the_pushes(mesh: Mesh, provider: str) -> None:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address)
    subscribe(mesh, tenant)
    done = mesh.run("tenants", "disconnect", tenant, "--yes")

    assert done.returncode == 0, done.stderr
    assert tenant_of(mesh, tenant).status == tenant_pb2.TENANT_STATUS_DISCONNECTED
    alive = mesh.simulator.call("GET", f"accounts/{address}")["refreshTokens"]
    # Microsoft has no way to revoke a single grant: there the key that opens it is gone.
    assert alive == (0 if provider == "googlews" else 1)
    assert mesh.simulator.call("GET", f"subscriptions?account={address}") == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_account_whose_grant_was_revoked_is_disconnected_with_one_question(mesh: Mesh, provider: str) -> None:
    address = new_address(mesh, provider)
    tenant = connect(mesh, provider, address)
    subscribe(mesh, tenant)
    endpoint = {"ms365": "ms.token", "googlews": "google.token"}[provider]
    before = mesh.simulator.count(endpoint)
    mesh.simulator.call("POST", f"accounts/{address}/revoke")
    done = mesh.run("tenants", "disconnect", tenant, "--yes")

    assert done.returncode == 0, done.stderr
    assert tenant_of(mesh, tenant).status == tenant_pb2.TENANT_STATUS_DISCONNECTED
    assert mesh.simulator.count(endpoint) - before <= 2


def test_someone_who_says_no_is_not_connected(mesh: Mesh) -> None:
    address = new_address(mesh, "googlews")
    stub = services.TenantServiceStub(mesh.channel)
    started = stub.StartAuthorization(messages.StartAuthorizationRequest(provider="googlews"))
    mesh.consent(started.authorization_url, address, accept=False)

    assert list(stub.ListTenants(messages.ListTenantsRequest(address=address)).tenants) == []


def _has_struck(mesh: Mesh, fault: int) -> bool:
    return any(rule["id"] == fault and rule["struck"] for rule in mesh.simulator.call("GET", "faults"))


def _is_found_lost(mesh: Mesh, tenant: str) -> bool:
    """Has the connection tested; a token issued just now is not exchanged for another, so this takes seconds."""
    services.TenantServiceStub(mesh.channel).TestConnection(messages.TestConnectionRequest(tenant_id=tenant))
    return tenant_of(mesh, tenant).status == tenant_pb2.TENANT_STATUS_NEEDS_REAUTHORIZATION


def _reconnect(mesh: Mesh, tenant: str, address: str) -> None:
    stub = services.TenantServiceStub(mesh.channel)
    started = stub.StartAuthorization(messages.StartAuthorizationRequest(tenant_id=tenant, login_hint=address))
    mesh.consent(started.authorization_url, address)
