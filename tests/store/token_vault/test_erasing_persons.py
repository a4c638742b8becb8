"""Erasures of persons at TokenVault: whose turn it is, their progress, their end, their cancellation."""

import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.meshkit import db
from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.token_vault.accounts.erase import ReportSigner
from services.token_vault.accounts.erase_person import PersonEraser, noted_progress
from services.token_vault.accounts.errors import PersonErasureNotFound
from services.token_vault.store import tenants
from services.token_vault.store.tenants import ACTIVE
from tests.programs.postgres import TestDatabase
from tests.store.planting import cells_with, statistics_with

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ANN, TOLD = "ann@example.com", {"items": 2}
OTHERS = ("ingest", "processor", "delivery")


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        """Return the time."""
        return self.time


@pytest.fixture
async def pool(token_vault_database: TestDatabase) -> AsyncIterator[db.Pool]:
    async with db.open_pool(Secret(token_vault_database.url), "tests") as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def eraser(pool: db.Pool, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PersonEraser:
    (tmp_path / "key.pem").write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "certificate.pem").write_text("certificate")
    signer = ReportSigner(tmp_path / "certificate.pem", tmp_path / "key.pem")
    monkeypatch.setattr("services.token_vault.accounts.erase_person.actor", lambda: "key:tests")  # no RPC runs here
    return PersonEraser(pool, signer, clock, timedelta(days=30))


async def tenant_named(pool: db.Pool, name: str) -> str:
    """Add a tenant with a display name."""
    tenant_id = new_id()
    times = dict.fromkeys(("status_changed_at", "connected_at", "created_at", "updated_at"), NOW)
    account = {"provider": "ms365", "external_account": tenant_id, "address": "desk@example.com"}
    async with db.transaction(pool) as connection:
        values = {"tenant_id": tenant_id, "status": ACTIVE, "display_name": name, **account, **times}
        await tenants.insert_tenant(connection, values)
    return tenant_id


async def due(eraser: PersonEraser, service: str) -> list[tuple[str, bool]]:
    """Return the pending addresses of a service, and whether each is due."""
    rows, ids = await eraser.pending(service)
    return [(row.address, row.erasure_id in ids) for row in rows]


async def confirm(eraser: PersonEraser, service: str, tenant: str, erasure: str) -> None:
    """Note the progress of a service that is done, and confirm it, twice."""
    for _ in range(2):
        await eraser.note(service, tenant, erasure, noted_progress(NOW, "", 7, TOLD))
        await eraser.confirm(service, tenant, erasure, TOLD)


async def test_services_take_turns_and_the_report_is_signed_once_our_own_rows_are_clean(
    pool: db.Pool, clock: Clock, eraser: PersonEraser
) -> None:
    tenant = await tenant_named(pool, f"Desk of {ANN}")
    begun = await eraser.start(tenant, " Ann@Example.com", None)
    again = await eraser.start(tenant, ANN, None)
    digest = hmac.digest(bytes.fromhex(begun.digest_key), ANN.encode(), "sha256").hex()
    assert (begun.erasure_id, digest) == (again.erasure_id, begun.address_digest)
    await eraser.round()
    assert ["token-vault"] == list((await eraser.get(tenant, begun.erasure_id, None)).progress)
    for service in OTHERS:
        clock.time += timedelta(minutes=1)
        waits = OTHERS[OTHERS.index(service) + 1 :]
        assert ([(ANN, True)], [[(ANN, False)]] * len(waits)) == (
            await due(eraser, service),
            [await due(eraser, later) for later in waits],
        )
        await confirm(eraser, service, tenant, begun.erasure_id)
        assert [] == await due(eraser, service)
    while await eraser.round():
        pass

    done = await eraser.get(tenant, begun.erasure_id, None)
    report = json.loads(done.report)
    assert (clock.time, None, "", "") == (done.finished_at, done.cancelled_at, done.address, done.digest_key)
    assert {"token-vault": {"tenants": 1}, **dict.fromkeys(OTHERS, TOLD)} == report["removed"]
    assert (digest, sorted(report["removed"])) == (report["addressHmacSha256"], sorted(report["cutOffs"]))
    assert (set(), set()) == (await cells_with(pool, "vault", ANN), await statistics_with(pool, "vault", ANN))
    actions = await pool.fetch("SELECT action FROM vault.audit_entries")
    assert ["person.erase", "person.erase"] == [row["action"] for row in actions]


@pytest.mark.parametrize("done", range(4))
async def test_an_erasure_can_be_cancelled_until_all_services_are_done(
    pool: db.Pool, eraser: PersonEraser, clock: Clock, done: int
) -> None:
    tenant = await tenant_named(pool, f"Desk of {ANN}")
    begun = await eraser.start(tenant, ANN, None)
    await eraser.round()
    for service in OTHERS[:done]:
        await confirm(eraser, service, tenant, begun.erasure_id)
    cancelled = await eraser.cancel(tenant, begun.erasure_id, None)
    assert cancelled == await eraser.cancel(tenant, begun.erasure_id, None)
    clock.time += timedelta(minutes=5)
    assert 0 == await eraser.round()

    assert (NOW, "", "", "") == (cancelled.cancelled_at, cancelled.address, cancelled.digest_key, cancelled.report)
    assert [[]] * 3 == [await due(eraser, service) for service in OTHERS]
    assert {("tenants", "display_name")} == await cells_with(pool, "vault", ANN)
    assert begun.erasure_id != (await eraser.start(tenant, ANN, None)).erasure_id
    with pytest.raises(PersonErasureNotFound):
        await eraser.cancel(tenant, begun.erasure_id, [new_id()])


@pytest.mark.parametrize(
    "address", ["", "ann", "a b@c.test", "<ann@example.com>", "Desk@example.com", "ann@" + "a" * 400]
)
async def test_an_erasure_needs_one_address_that_is_not_the_accounts(
    pool: db.Pool, eraser: PersonEraser, address: str
) -> None:
    tenant = await tenant_named(pool, "Desk")
    with pytest.raises(FieldInvalid):
        await eraser.start(tenant, address, None)


async def test_an_address_of_a_domain_without_ascii_form_is_erased_as_any_other(
    pool: db.Pool, eraser: PersonEraser
) -> None:
    tenant = await tenant_named(pool, "Desk of ann@☃.example, bob@☃.example")
    begun = await eraser.start(tenant, "Ann@☃.example", None)
    for service in OTHERS:
        await confirm(eraser, service, tenant, begun.erasure_id)
    while await eraser.round():
        pass
    name = await pool.fetchval("SELECT display_name FROM vault.tenants")
    assert "Desk of erased, bob@☃.example" == name
