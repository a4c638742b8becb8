"""Mailboxes of organisations at Google in the database: allow-lists, and from a person's consent to ours and back."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.identity.caller import Caller, Role, calling_as
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.providers.abilities import least_scopes
from services.token_vault.accounts.admit import Admission
from services.token_vault.accounts.directory_mailboxes import Chosen, DirectoryMailboxes
from services.token_vault.accounts.errors import DirectoryNotFound, MailboxConnectedOtherwise
from services.token_vault.issuers.issuer import Account, Grant, Identity, TokenResponse
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.keys.registration import KeyRegistration
from services.token_vault.store import directories
from services.token_vault.store.authorization_flows import FlowRow
from services.token_vault.store.directories import DirectoryRow
from services.token_vault.store.tenants import TenantRow
from services.token_vault.tokens.token_cipher import TokenCipher
from tests.programs.postgres import TestDatabase

NOW = datetime.now(UTC)
GOOGLE = DirectoryRow("googlews", "C0abc123", (), allows_all=True, listed_at=NOW, roles=(), consented_at=NOW)
ADMIN = Caller("envoy", new_id(), Role.ADMIN, None, frozenset({"*"}))
DESK = Account("1234", "desk@acme.test", "Desk")
GRANT = Grant(
    TokenResponse(Secret("a"), Secret("r"), least_scopes("googlews", ("mail.read",)), NOW + timedelta(hours=1)),
    Identity("1234", "acme.test", "1234"),
)
RING = KeyRing({"k1": b"1" * 32})


@pytest.fixture
async def pool(token_vault_database: TestDatabase) -> AsyncIterator[db.Pool]:
    async with db.open_pool(Secret(token_vault_database.url), "tests") as opened:
        await KeyRegistration(opened, RING, SystemClock(), new_id(), lambda: RING).start()
        async with db.transaction(opened) as connection:
            await directories.put(connection, GOOGLE)
        with calling_as(Caller("envoy", key_id=new_id())):
            yield opened


def admission_of(pool: db.Pool) -> Admission:
    return Admission(pool, TokenCipher(RING, timedelta(minutes=5)), SystemClock())


def mailboxes_of(pool: db.Pool) -> DirectoryMailboxes:
    """The use cases that need no provider."""
    no: Any = None
    return DirectoryMailboxes(pool, no, no, admission_of(pool), SystemClock())


async def by_person(pool: db.Pool) -> TenantRow:
    """Connect the account by a person's consent."""
    flow = FlowRow(
        new_id(),
        "googlews",
        None,
        "",
        "",
        "key:1",
        "started",
        b"",
        None,
        None,
        None,
        "",
        "",
        NOW,
        NOW,
        "",
        ("mail.read",),
    )
    return (await admission_of(pool).admit(flow, GRANT, DESK)).tenant


async def by_app(pool: db.Pool, row: DirectoryRow = GOOGLE) -> TenantRow:
    """Connect the account by the organisation's consent, once the provider has proven it."""
    return await mailboxes_of(pool)._admitted(
        row, GRANT.tokens, DESK, Chosen(row.directory_id, DESK.user_id, "", ()), ("mail.read",)
    )


async def disconnected(pool: db.Pool, tenant: TenantRow) -> None:
    await pool.execute("UPDATE vault.tenants SET status = 'disconnected' WHERE tenant_id = $1", tenant.tenant_id)


async def test_the_allow_list_of_an_organisation_at_google_can_be_changed(pool: db.Pool) -> None:
    at = mailboxes_of(pool)
    row = await at.allow(ADMIN, "C0abc123", ("desk@acme.test",), allows_all=False)

    assert (["desk@acme.test"], False) == (list(row.allowed_addresses), row.allows_all)
    with pytest.raises(DirectoryNotFound):
        await at.allow(ADMIN, "C0unknown", (), allows_all=True)


async def test_an_account_at_google_goes_from_a_persons_consent_to_delegation_and_back(pool: db.Pool) -> None:
    first = await by_person(pool)
    await disconnected(pool, first)
    second = await by_app(pool)
    await disconnected(pool, second)
    third = await by_person(pool)

    assert {first.tenant_id} == {second.tenant_id, third.tenant_id}
    assert [(None, "acme.test"), ("C0abc123", "C0abc123"), (None, "acme.test")] == [
        (tenant.directory_id, tenant.external_tenant_id) for tenant in (first, second, third)
    ]


async def test_a_connected_account_does_not_move_to_another_organisation(pool: db.Pool) -> None:
    other = replace(GOOGLE, directory_id="C0other99")
    async with db.transaction(pool) as connection:
        await directories.put(connection, other)
    first = await by_app(pool)
    with pytest.raises(MailboxConnectedOtherwise):
        await by_app(pool, other)
    assert "C0abc123" == (await by_app(pool)).directory_id
    await disconnected(pool, first)

    assert "C0other99" == (await by_app(pool, other)).directory_id
