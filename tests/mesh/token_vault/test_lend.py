"""Lending tokens: to whom, which, and what happens when the provider fails or refuses."""

import asyncio
import hashlib
from typing import Any

import pytest

from mailmesh.vault.v1 import tenant_service_pb2
from tests.mesh.token_vault.lending import ENDPOINTS, connected, issue, refused
from tests.programs.vault import VaultGround
from tests.programs.vault_clients import ADMIN, Stubs

pytestmark = pytest.mark.timeout(300)

PROVIDERS = list(ENDPOINTS)


async def test_a_valid_token_is_lent_without_the_provider(served: VaultGround, edge: Stubs, ingest: Stubs) -> None:
    tenant_id = await connected(served, edge, "ms365")
    await served.control.reset_calls()

    tokens = {(await issue(ingest, tenant_id)).access_token for _ in range(20)}

    assert 1 == len(tokens)
    assert 0 == await served.control.call_count("ms.token")
    assert [("mesh:ingest", tenant_id, "ok")] * 20 == await served.audit("token.issue")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_expired_token_is_refreshed(served: VaultGround, edge: Stubs, ingest: Stubs, provider: str) -> None:
    tenant_id = await connected(served, edge, provider)
    before = (await issue(ingest, tenant_id)).access_token
    await served.expire(tenant_id)

    first = (await issue(ingest, tenant_id)).access_token
    await served.expire(tenant_id)
    second = (await issue(ingest, tenant_id)).access_token

    assert 3 == len({before, first, second})
    assert ["ok", "ok"] == [outcome for _, _, outcome in await served.audit("token.refresh")]


async def test_only_named_callers_are_lent_tokens(served: VaultGround, edge: Stubs) -> None:
    tenant_id = await connected(served, edge, "ms365")
    processor = await served.stubs(served.processes[0], "processor")

    strangers = [await served.stubs(served.processes[0], name) for name in ("operator", "envoy", "token-vault")]
    errors = [await refused(stranger, tenant_id) for stranger in strangers]

    assert ["CALLER_NOT_ALLOWED"] * 3 == [error.reason for error in errors]
    assert (await issue(processor, tenant_id)).access_token


async def test_bad_questions_get_their_reasons(served: VaultGround, edge: Stubs, ingest: Stubs) -> None:
    tenant_id = await connected(served, edge, "ms365")

    reasons = [
        (await refused(ingest, "019a9f0e-7c1e-7000-8000-000000000002")).reason,
        (await refused(ingest, "not-an-id")).reason,
        (await refused(ingest, tenant_id, minimum_seconds=1801)).reason,
        (await refused(ingest, tenant_id, minimum_seconds=-1)).reason,
        (await refused(ingest, tenant_id, scopes=["Mail.Send"])).reason,
        (await refused(ingest, tenant_id, rejected_token_digest="x")).reason,
    ]

    assert [
        "TENANT_NOT_FOUND",
        "FIELD_INVALID",
        "MINIMUM_SECONDS_TOO_LARGE",
        "FIELD_INVALID",
        "SCOPE_NOT_GRANTED",
        "FIELD_INVALID",
    ] == reasons
    assert (await issue(ingest, tenant_id, scopes=["https://graph.microsoft.com/mail.read"])).access_token


async def test_a_token_that_the_provider_rejected_is_not_given_again(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    tenant_id = await connected(served, edge, "googlews")
    rejected = (await issue(ingest, tenant_id)).access_token
    digest = hashlib.sha256(rejected.encode()).hexdigest()
    await served.fetch("UPDATE vault.tenant_tokens SET last_refreshed_at = now() - interval '1 minute'")

    other = (await issue(ingest, tenant_id, rejected_token_digest=digest)).access_token
    again = await refused(ingest, tenant_id, rejected_token_digest=hashlib.sha256(other.encode()).hexdigest())

    assert rejected != other
    assert "PROVIDER_UNAVAILABLE" == again.reason  # the newest one: another would be no better
    assert again.retry_after


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_broken_grant_asks_for_a_person(served: VaultGround, edge: Stubs, ingest: Stubs, provider: str) -> None:
    tenant_id = await connected(served, edge, provider)
    account = (await served.control.accounts(provider))[0]["address"]
    await served.control.revoke(account)
    await served.expire(tenant_id)

    errors = [await refused(ingest, tenant_id) for _ in range(3)]
    calls = await served.control.call_count(ENDPOINTS[provider], status=400)
    await served.connect(edge, "", account, tenant_id=tenant_id)

    assert ["TENANT_NEEDS_REAUTHORIZATION"] * 3 == [error.reason for error in errors]
    assert "grant_revoked" == errors[0].metadata["detail"]
    assert 1 == calls
    assert ("active", "") == await served.status(tenant_id)
    assert (await issue(ingest, tenant_id)).access_token


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "status", "status": 503}, "PROVIDER_UNAVAILABLE"),
        ({"kind": "status", "status": 429, "retry_after": 2}, "PROVIDER_THROTTLED"),
        ({"kind": "garbage"}, "PROVIDER_UNAVAILABLE"),
        ({"kind": "truncate"}, "PROVIDER_UNAVAILABLE"),
        ({"kind": "close"}, "PROVIDER_UNAVAILABLE"),
        ({"kind": "status", "status": 401, "code": "invalid_client"}, "INSTALLATION_MISCONFIGURED"),
        ({"kind": "status", "status": 400, "code": "unauthorized_client:700016"}, "INSTALLATION_MISCONFIGURED"),
    ],
    ids=["503", "429", "garbage", "truncated", "closed", "invalid client", "unknown app"],
)
async def test_passing_trouble_and_our_own_mistakes_mark_no_tenant(
    served: VaultGround, edge: Stubs, ingest: Stubs, provider: str, fault: dict[str, Any], reason: str
) -> None:
    tenant_id = await connected(served, edge, provider)
    await served.expire(tenant_id)
    await served.control.add_fault(endpoint=ENDPOINTS[provider], **fault)

    error = await refused(ingest, tenant_id)
    status = await served.status(tenant_id)
    await served.control.clear_faults()
    await served.fetch("UPDATE vault.tenant_tokens SET refresh_not_before = NULL")

    assert reason == error.reason
    assert ("active", "") == status
    assert (await issue(ingest, tenant_id)).access_token
    assert [reason, "ok"] == [outcome for _, _, outcome in await served.audit("token.refresh")]


async def test_after_trouble_the_provider_is_left_alone_for_as_long_as_it_asks(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    tenant_id = await connected(served, edge, "ms365")
    await served.expire(tenant_id)
    await served.control.reset_calls()
    await served.control.add_fault("status", endpoint="ms.token", status=429, retry_after=60)

    errors = [await refused(ingest, tenant_id) for _ in range(5)]

    assert ["PROVIDER_THROTTLED"] * 5 == [error.reason for error in errors]
    assert all(error.retry_after and 50 < error.retry_after.total_seconds() <= 60 for error in errors)
    assert 1 == await served.control.call_count("ms.token")


async def test_one_tenants_trouble_does_not_hold_up_another(served: VaultGround, edge: Stubs, ingest: Stubs) -> None:
    slow = await connected(served, edge, "ms365")
    other = await connected(served, edge, "googlews")
    await served.expire(slow)
    await served.expire(other)
    account = (await served.control.accounts("ms365"))[0]["address"]
    await served.control.add_fault("hang", endpoint="ms.token", account=account, seconds=30)

    hanging = asyncio.create_task(refused(ingest, slow))
    lent = [await issue(ingest, other) for _ in range(20)]

    assert 20 == len(lent)
    assert not hanging.done()
    assert "PROVIDER_UNAVAILABLE" == (await hanging).reason


async def test_a_tampered_credential_is_told_and_stops_nobody_else(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    broken, whole = await connected(served, edge, "ms365"), await connected(served, edge, "googlews")
    await served.fetch(
        "UPDATE vault.tenant_tokens SET access_token = overlay(access_token placing '\\x00' from 40)"
        " WHERE tenant_id = $1",
        broken,
    )

    errors = [await refused(ingest, broken) for _ in range(2)]

    assert [("DATA_LOSS", "SEAL_BROKEN")] * 2 == [(error.code, error.reason) for error in errors]
    assert ("error", "seal_broken") == await served.status(broken)
    assert (await issue(ingest, whole)).access_token


async def test_sealed_tokens_of_one_tenant_do_not_open_as_anothers(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    first, second = await connected(served, edge, "ms365"), await connected(served, edge, "googlews")
    await served.fetch(
        "UPDATE vault.tenant_tokens a SET access_token = b.access_token, data_key_id = b.data_key_id"
        " FROM vault.tenant_tokens b WHERE a.tenant_id = $1 AND b.tenant_id = $2",
        first,
        second,
    )
    await served.fetch(
        "UPDATE vault.tenant_keys a SET wrapped = b.wrapped, data_key_id = b.data_key_id FROM vault.tenant_keys b"
        " WHERE a.tenant_id = $1 AND b.tenant_id = $2",
        first,
        second,
    )

    assert "SEAL_BROKEN" == (await refused(ingest, first)).reason


async def test_a_disabled_tenant_is_refused_until_it_is_enabled(
    served: VaultGround, edge: Stubs, ingest: Stubs
) -> None:
    tenant_id = await connected(served, edge, "ms365")
    disable = tenant_service_pb2.DisableTenantRequest(tenant_id=tenant_id, note="on leave")
    enable = tenant_service_pb2.EnableTenantRequest(tenant_id=tenant_id)

    await edge.tenants.DisableTenant(disable, metadata=ADMIN)
    await edge.tenants.DisableTenant(disable, metadata=ADMIN)
    error = await refused(ingest, tenant_id)
    await edge.tenants.EnableTenant(enable, metadata=ADMIN)

    assert "TENANT_DISABLED" == error.reason
    assert (await issue(ingest, tenant_id)).access_token
    assert 1 == len(await served.audit("tenant.disable"))


async def test_short_lived_tokens_are_lent_for_what_they_are(served: VaultGround, edge: Stubs, ingest: Stubs) -> None:
    await served.control.set(access_token_seconds=60)
    tenant_id = await connected(served, edge, "googlews")
    await served.expire(tenant_id)

    lent = await issue(ingest, tenant_id)

    assert lent.access_token
    assert 0 < lent.expires_at.seconds - lent.tenant.last_refreshed_at.seconds <= 60
