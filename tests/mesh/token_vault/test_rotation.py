"""Key-encryption keys: checked at start, rotated under load, and what an old backup is worth afterwards."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mailmesh.vault.v1 import directory_service_pb2, tenant_service_pb2
from mailmesh.vault.v1.token_vault_service_pb2 import ConfirmTenantReleaseRequest, IssueTokenRequest
from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.token_vault.keys.keyring import read_keys
from services.token_vault.keys.sealing import new_data_key
from stack.blocking import run_blocking
from stack.certificates import MeshCertificates
from stack.programs.postgres import BINARIES
from stack.programs.roles import SERVICE_ROLES, create_database, prepare_database, with_role
from tests.programs.postgres import PostgresProgram, TestDatabase
from tests.programs.simulator import RunningSimulator
from tests.programs.vault import VaultGround, eventually, new_keys, vault_ground
from tests.programs.vault_clients import ADMIN

pytestmark = pytest.mark.timeout(300)


async def connected(ground: VaultGround, provider: str = "ms365") -> str:
    edge = await ground.stubs(ground.processes[-1], "envoy")
    account = (await ground.control.accounts(provider))[0]["address"]
    return await ground.connect(edge, provider, account)


async def wrapped_by(ground: VaultGround) -> set[str]:
    return {row["key_encryption_key_id"] for row in await ground.fetch("SELECT * FROM vault.tenant_keys")}


async def test_nothing_starts_without_a_key(ground: VaultGround) -> None:
    code, _, errors = await ground.run("serve", MAILMESH_VAULT_KEYS="")

    assert 2 == code
    assert "MAILMESH_VAULT_KEYS" in errors


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("k1", "needs an id"),
        ("k1:AAAA", "has 3 bytes and needs 32"),
        ("k1:%%%", "is not base64"),
        ("no colon here", "needs an id"),
    ],
)
async def test_a_key_that_cannot_be_read_is_told_without_being_shown(ground: VaultGround, keys: str, said: str) -> None:
    code, _, errors = await ground.run("serve", MAILMESH_VAULT_KEYS=keys)

    assert 2 == code
    assert said in errors
    assert "AAAA" not in errors


async def test_another_key_under_a_known_id_is_refused(ground: VaultGround) -> None:
    (await ground.start()).stop()

    code, _, errors = await ground.run("serve", MAILMESH_VAULT_KEYS=new_keys("k1"))

    assert 2 == code
    assert "k1 is not the one that was used under this id" in errors


async def test_without_the_key_that_is_written_with_nothing_starts(ground: VaultGround) -> None:
    (await ground.start()).stop()

    code, _, errors = await ground.run("serve", MAILMESH_VAULT_KEYS=new_keys("k2"))

    assert 2 == code
    assert "lacks the key k1" in errors


async def test_rotation_waits_for_processes_that_lack_the_new_key(ground: VaultGround) -> None:
    old, new = ground.keys, new_keys("k2")
    await ground.start()
    tenant_id = await connected(ground)

    code, _, errors = await ground.run("rotate", MAILMESH_VAULT_KEYS=f"{new},{old}")

    assert 1 == code
    assert "KEY_RETIRING" in errors
    assert "1 of 1 live processes lack the key k2" in errors
    assert {"k1"} == await wrapped_by(ground)
    ingest = await ground.stubs(ground.processes[0], "ingest")
    assert (await ingest.mesh.IssueToken(IssueTokenRequest(tenant_id=tenant_id))).access_token


async def test_rotation_under_load_fails_no_caller(ground: VaultGround, tmp_path: Path) -> None:
    """The file of keys changes under two serving processes; then every data key is rewrapped while tokens are lent."""
    file = tmp_path / "keys"
    old, new = ground.keys, new_keys("k2")
    file.write_text(old)
    from_file = {"MAILMESH_VAULT_KEYS": "", "MAILMESH_VAULT_KEYS_FILE": str(file)}
    processes = [await ground.start(**from_file) for _ in range(2)]
    tenants = [await connected(ground, provider) for provider in ("ms365", "googlews")]
    await _more_tenants(ground, tenants[0], 300)
    callers = [await ground.stubs(process, "ingest") for process in processes]
    lent, stop = [0], asyncio.Event()

    async def lend(caller: Any) -> None:
        while not stop.is_set():
            for tenant_id in tenants:
                assert (await caller.mesh.IssueToken(IssueTokenRequest(tenant_id=tenant_id), timeout=30)).access_token
                lent[0] += 1

    lending = [asyncio.create_task(lend(caller)) for caller in callers]
    file.write_text(f"{new}\n{old}\n")

    async def is_rotated() -> bool:
        code, output, _ = await ground.run("rotate", **from_file)
        return code == 0 and "302 data keys were rewrapped by k2" in output

    await eventually(is_rotated, 60)
    file.write_text(f"{new}\n")
    before = lent[0]

    async def is_lent_more() -> bool:
        return lent[0] > before + 50

    await eventually(is_lent_more)
    stop.set()
    await asyncio.gather(*lending)

    assert {"k2"} == await wrapped_by(ground)
    assert lent[0] > 100


async def _more_tenants(ground: VaultGround, tenant_id: str, count: int) -> None:
    """Adds tenants with data keys of their own, so that there is something to wrap."""
    ring = read_keys(Secret(ground.keys), None)
    for number in range(count):
        copy = new_id()
        await ground.fetch(
            "INSERT INTO vault.tenants SELECT (jsonb_populate_record(t, jsonb_build_object('tenant_id', $2::text,"
            " 'external_account', $3::text))).* FROM vault.tenants t WHERE tenant_id = $1",
            tenant_id,
            copy,
            f"copy-{number}",
        )
        _, key = new_data_key(ring, copy, "k1")
        await ground.fetch(
            "INSERT INTO vault.tenant_keys VALUES ($1, $2, 'k1', $3)", copy, key.data_key_id, key.wrapped
        )


async def test_the_apps_credentials_are_rewrapped_and_open_without_the_retired_key(ground: VaultGround) -> None:
    old, new = ground.keys, new_keys("k2")
    ground.keys = f"{new},{old}"
    await ground.start(MAILMESH_VAULT_KEYS=old)
    edge = await ground.stubs(ground.processes[-1], "envoy")
    key = await ground.control.new_service_account_key()
    request = directory_service_pb2.AddAppCredentialRequest(service_account_key=json.dumps(key))
    await edge.directories.AddAppCredential(request, metadata=ADMIN)
    ground.processes[-1].stop()
    await ground.start()
    code, output, _ = await ground.run("rotate")
    ground.processes[-1].stop()
    ground.keys = new
    await ground.start()
    edge = await ground.stubs(ground.processes[-1], "envoy")
    # The key opens, so Google is asked, and refuses what no administrator has granted.
    taking = directory_service_pb2.CreateDirectoryRequest(administrator="carla@fabrikam.test")
    with pytest.raises(MeshError) as refused:
        await edge.directories.CreateDirectory(taking, metadata=ADMIN)

    assert (0, True) == (code, "1 data keys were rewrapped by k2" in output)
    assert "Key k1 is no longer needed" in output
    assert "DELEGATION_NOT_GRANTED" == refused.value.reason


async def test_an_interrupted_rotation_is_finished_by_the_next(ground: VaultGround) -> None:
    both = f"{new_keys('k2')},{ground.keys}"
    (await ground.start()).stop()
    ground.keys = both
    await ground.start()
    tenants = [await connected(ground, provider) for provider in ("ms365", "googlews")]
    first = await ground.run("rotate")
    await ground.fetch("UPDATE vault.writing_key SET key_id = 'k1'")
    third = await connected_fresh(ground)  # as one that was written before the rotation was interrupted

    code, output, _ = await ground.run("rotate")

    assert 0 == first[0]
    assert 0 == code
    assert "1 data keys were rewrapped by k2" in output
    assert "Key k1 is no longer needed" in output
    assert {"k2"} == await wrapped_by(ground)
    ingest = await ground.stubs(ground.processes[-1], "ingest")
    for tenant_id in (*tenants, third):
        assert (await ingest.mesh.IssueToken(IssueTokenRequest(tenant_id=tenant_id))).access_token


async def connected_fresh(ground: VaultGround) -> str:
    account = "third.person@contoso.test"
    await ground.control.create_account("ms365", account)
    edge = await ground.stubs(ground.processes[-1], "envoy")
    return await ground.connect(edge, "ms365", account)


async def test_a_backup_from_before_a_disconnect_opens_nothing_once_its_key_is_retired(
    ground: VaultGround,
    postgres: PostgresProgram,
    simulator: RunningSimulator,
    certificates: MeshCertificates,
    tmp_path: Path,
) -> None:
    old, new = ground.keys, new_keys("k2")
    process = await ground.start(MAILMESH_VAULT_KEYS=f"{old},{new}")
    tenant_id = await connected(ground)
    edge, ingest = await ground.stubs(process, "envoy"), await ground.stubs(process, "ingest")
    backup = await asyncio.to_thread(_copied, postgres, ground.database)
    await edge.tenants.DisconnectTenant(tenant_service_pb2.DisconnectTenantRequest(tenant_id=tenant_id), metadata=ADMIN)
    await ingest.mesh.ConfirmTenantRelease(ConfirmTenantReleaseRequest(tenant_id=tenant_id))

    async def is_gone() -> bool:
        return await ground.status(tenant_id) == ("disconnected", "")

    await eventually(is_gone)
    code, output, _ = await ground.run("rotate", "--to", "k2", MAILMESH_VAULT_KEYS=f"{old},{new}")

    assert 0 == code
    assert "Key k1 is no longer needed" in output
    async with vault_ground(backup, simulator, certificates, tmp_path, new) as restored:
        # The operator has retired k1; the restored database still says that it is written with.
        code, _, errors = await restored.run("serve")
        assert (2, True) == (code, "lacks the key k1" in errors)
        code, output, _ = await restored.run("rotate")
        assert f"Tenant {tenant_id}: not opened, KEY_UNAVAILABLE." in output
        survivor = await restored.stubs(await restored.start(), "ingest")
        with pytest.raises(MeshError) as refused:
            await survivor.mesh.IssueToken(IssueTokenRequest(tenant_id=tenant_id))
        assert "KEY_UNAVAILABLE" == refused.value.reason


def _copied(postgres: PostgresProgram, database: TestDatabase) -> TestDatabase:
    """A copy of a database that is in use, by dumping and restoring it."""
    name = "restored_vault"
    run_blocking(create_database(postgres.server.url(), name))
    admin_url = postgres.server.url(database=name)
    dump = subprocess.run([str(BINARIES / "pg_dump"), database.admin_url], check=True, capture_output=True)
    subprocess.run([str(BINARIES / "psql"), "-q", admin_url], input=dump.stdout, check=True, capture_output=True)
    run_blocking(prepare_database(admin_url, ["token_vault"]))
    role = SERVICE_ROLES["token_vault"].role
    return TestDatabase(with_role(admin_url, role, postgres.passwords["token_vault"]), admin_url)
