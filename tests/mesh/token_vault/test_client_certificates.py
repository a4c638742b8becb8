"""Client certificates of the app at Microsoft: beside the secret, in its place, two of them, and near their end."""

import datetime as dt
from collections.abc import AsyncIterator

import pytest

from mailmesh.vault.v1 import directory_service_pb2 as pb
from mailmesh.vault.v1 import token_vault_service_pb2
from tests.factories.app_credentials import client_certificate
from tests.mesh.token_vault.test_directories import connected, consented, organisation, refusal
from tests.programs.vault import VaultGround
from tests.programs.vault_clients import ADMIN, Stubs

pytestmark = pytest.mark.timeout(300)


async def added(edge: Stubs, certificate: str, key: str) -> pb.AppCredential:
    """Adds a certificate with its key."""
    files = pb.MicrosoftCertificate(certificate_pem=certificate, private_key_pem=key)
    request = pb.AddAppCredentialRequest(microsoft_certificate=files)
    return (await edge.directories.AddAppCredential(request, metadata=ADMIN)).credential


async def listed(edge: Stubs) -> list[pb.AppCredential]:
    """Lists the credentials."""
    return list((await edge.directories.ListAppCredentials(pb.ListAppCredentialsRequest(), metadata=ADMIN)).credentials)


async def deleted(edge: Stubs, credential: pb.AppCredential) -> None:
    """Deletes a credential."""
    request = pb.DeleteAppCredentialRequest(credential_id=credential.credential_id)
    await edge.directories.DeleteAppCredential(request, metadata=ADMIN)


@pytest.fixture
async def secret_changes(served: VaultGround) -> AsyncIterator[None]:
    """Lets a test end the secret of the settings at Microsoft."""
    yield
    await served.control.set_client_secret(served.simulator.settings["MAILMESH_MS365_CLIENT_SECRET"])


@pytest.mark.usefixtures("secret_changes")
async def test_a_certificate_proves_the_app_without_a_secret_and_a_second_one_takes_over(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    certificate, key = client_certificate()
    await served.control.add_client_certificate(certificate)
    people = await organisation(served, "proof.test")
    await consented(served, edge, people, allows_all=True)
    tenant = await connected(edge, people[1])
    ask = token_vault_service_pb2.IssueTokenRequest(tenant_id=tenant.tenant_id)
    # The secret of the settings ends at Microsoft: from here on the certificates alone prove the app.
    await served.control.set_client_secret("another-secret")
    await served.expire(tenant.tenant_id)
    without = await refusal(ingest.mesh.IssueToken(ask))
    first = await added(edge, certificate, key)
    await renewed(served, tenant.tenant_id)
    by_first = (await ingest.mesh.IssueToken(ask)).access_token
    second_pair = client_certificate("second")
    second = await added(edge, *second_pair)
    await renewed(served, tenant.tenant_id)
    before_upload = (await ingest.mesh.IssueToken(ask)).access_token
    await served.control.add_client_certificate(second_pair[0])
    await served.control.remove_client_certificate(certificate)
    await deleted(edge, first)
    await renewed(served, tenant.tenant_id)
    by_second = (await ingest.mesh.IssueToken(ask)).access_token
    await served.connect(edge, "ms365", people[0]["address"])

    assert "INSTALLATION_MISCONFIGURED" == without
    assert 3 == len({by_first, before_upload, by_second})
    assert [second.credential_id] == [one.credential_id for one in await listed(edge)]
    assert "ok" == (await served.audit("app_credential.add"))[0][2]


async def test_a_certificate_near_its_end_is_shown_and_an_added_one_is_no_second(
    served: VaultGround, edge: Stubs
) -> None:
    certificate, key = client_certificate("ending", days=10)
    first, again = await added(edge, certificate, key), await added(edge, certificate, key)
    fresh = [await added(edge, *client_certificate(str(number))) for number in range(3)]
    full = await refusal(added(edge, *client_certificate("fifth")))
    shown = {one.key_name: one for one in await listed(edge)}
    ends = shown[first.key_name].expires_at.ToDatetime(dt.UTC) - dt.datetime.now(dt.UTC)

    assert (first.credential_id, True, False) == (again.credential_id, first.is_expiring, fresh[0].is_expiring)
    assert dt.timedelta(days=9) < ends <= dt.timedelta(days=10)
    assert ("APP_CREDENTIAL_LIMIT_REACHED", 4) == (full, len(shown))


async def test_no_private_key_is_in_the_database_the_log_or_an_answer(served: VaultGround, edge: Stubs) -> None:
    certificate, key = client_certificate("quiet")
    answer = await added(edge, certificate, key)
    marks = [line for line in key.splitlines()[1:4] if line]
    rows = "".join(str(row) for row in await served.fetch("SELECT * FROM vault.app_credentials"))
    entries = "".join(str(row) for row in await served.fetch("SELECT * FROM vault.audit_entries"))
    log = served.processes[0].log.read_text()

    assert [] == [mark for mark in marks if mark in rows + entries + log + str(answer)]
    assert answer.key_name in entries


async def renewed(served: VaultGround, tenant_id: str) -> None:
    """Makes the next loan ask the provider, whatever pause a failure left."""
    await served.expire(tenant_id)
    await served.fetch("UPDATE vault.tenant_tokens SET refresh_not_before = NULL WHERE tenant_id = $1", tenant_id)
