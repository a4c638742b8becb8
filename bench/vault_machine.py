"""Real programs for measuring TokenVault: PostgreSQL with durable commits, simulated providers, TokenVault."""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from bench.vault_load import Outcome, Plan
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.token_vault.keys.keyring import read_keys
from services.token_vault.keys.sealing import new_data_key
from stack.certificates import MeshCertificates
from tests.programs.postgres import start_postgres
from tests.programs.simulator import running_simulator
from tests.programs.vault import VaultGround, new_keys, vault_ground

SCOPES = {
    "ms365": ["Mail.Read", "User.Read", "email", "offline_access", "openid", "profile"],
    "googlews": ["https://www.googleapis.com/auth/gmail.readonly", "openid"],
}
_AT_ONCE = 32


class VaultMachine:
    """The running programs.

    Args:
        ground: TokenVault's processes and the simulator.
        certificates: The identities of the mesh.
        folder: The folder for plans.
        postgres_pid: PostgreSQL.
    """

    def __init__(self, ground: VaultGround, certificates: MeshCertificates, folder: Path, postgres_pid: int) -> None:
        self.ground = ground
        self._postgres_pid = postgres_pid
        self._certificates = certificates
        self._folder = folder

    @property
    def spenders(self) -> tuple[int, int]:
        """Return the process ids of TokenVault's first process and of PostgreSQL."""
        return self.ground.processes[0].process.pid, self._postgres_pid

    async def load(
        self, kind: str, tenants: Sequence[str], *, at_once: int, seconds: float, per_second: float = 0.0
    ) -> Outcome:
        """Make calls from a process of its own, as Ingest, and return the outcome."""
        identity = self._certificates.identity("ingest")
        files = (str(identity.certificate), str(identity.key), str(identity.authority))
        plan = Plan(self.ground.processes[0].address, *files, kind, list(tenants), at_once, seconds, per_second)
        path = self._folder / "plan.json"
        path.write_text(json.dumps(asdict(plan)))
        written = self._folder / "outcome.json"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.vault_load", str(path), str(written)
        )
        if await process.wait():
            raise RuntimeError("the load did not end well")
        outcome = Outcome(**json.loads(written.read_text()))
        if outcome.failures:
            raise RuntimeError(f"calls failed: {outcome.failures}")
        return outcome

    async def add_tenants(self, provider: str, count: int, *, due: bool) -> list[str]:
        """Add accounts at the provider and their tenants, with tokens that the provider has really issued.

        Args:
            provider: The provider.
            count: The number of accounts.
            due: Whether their refreshes are due at once.
        """
        pattern = f"bench{{n}}@{'contoso' if provider == 'ms365' else 'workspace'}.test"
        await self.ground.control.create_account(provider, pattern, count=count)
        accounts = [
            found for found in await self.ground.control.accounts(provider) if found["address"].startswith("bench")
        ]
        rows = await _for_all(accounts[:count], lambda account: self._tenant(provider, account, due=due))
        await self._insert(rows)
        return [row[0][0] for row in rows]

    async def _tenant(self, provider: str, account: dict[str, Any], *, due: bool) -> tuple[Any, ...]:
        answer = await self.ground.control.issue_tokens(account["address"], scopes=" ".join(SCOPES[provider]))
        tenant_id, now = new_id(), datetime.now(UTC)
        ring = read_keys(Secret(self.ground.keys), None)
        key, wrapped = new_data_key(ring, tenant_id, ring.first_id)
        sealed = [key.seal(name, Secret(answer[name])) for name in ("access_token", "refresh_token")]
        next_at = now - timedelta(seconds=1) if due else now + timedelta(hours=1)
        had_at, expires_at = now - timedelta(hours=1), now + timedelta(hours=1)
        return (
            (tenant_id, provider, f"bench-{tenant_id}", account["id"], account["address"], "active", *[now] * 4),
            (tenant_id, wrapped.data_key_id, wrapped.key_encryption_key_id, wrapped.wrapped),
            (tenant_id, "delegated", SCOPES[provider], wrapped.data_key_id, *sealed, expires_at, had_at, next_at),
        )

    async def _insert(self, rows: Sequence[tuple[Any, ...]]) -> None:
        tables = {
            "tenants": "tenant_id provider external_account user_id address status status_changed_at connected_at"
            " created_at updated_at",
            "tenant_keys": "tenant_id data_key_id key_encryption_key_id wrapped",
            "tenant_tokens": "tenant_id token_type scopes data_key_id access_token refresh_token expires_at"
            " last_refreshed_at next_refresh_at",
        }
        connection = await asyncpg.connect(self.ground.database.admin_url)
        try:
            for at, (table, columns) in enumerate(tables.items()):
                await connection.copy_records_to_table(
                    table, schema_name="vault", columns=columns.split(), records=[row[at] for row in rows]
                )
        finally:
            await connection.close()


@asynccontextmanager
async def vault_machine() -> AsyncIterator[VaultMachine]:
    """Start PostgreSQL and the simulator; the measurement starts TokenVault itself."""
    folder = Path(tempfile.mkdtemp(prefix="mmv-", dir="/tmp"))
    folder.chmod(0o711)
    certificates = MeshCertificates(folder / "certificates")
    certificates.ensure()
    postgres = await asyncio.to_thread(lambda: start_postgres(folder / "pg", is_careless=False))
    try:
        with running_simulator(certificates.identity("simulator")) as simulator:
            database = await asyncio.to_thread(postgres.migrated_database, "token_vault")
            async with vault_ground(database, simulator, certificates, folder, new_keys("k1")) as ground:
                ground.settings["MAILMESH_LOG_LEVEL"] = "info"
                yield VaultMachine(ground, certificates, folder, postgres.running.pid)
    finally:
        await asyncio.to_thread(postgres.running.stop)
        shutil.rmtree(folder, ignore_errors=True)


async def _for_all(items: Iterable[Any], work: Any) -> list[Any]:
    """Process all items, a few concurrently, and return the results in order."""
    bound = asyncio.Semaphore(_AT_ONCE)

    async def one(item: Any) -> Any:
        async with bound:
            return await work(item)

    return await asyncio.gather(*(one(item) for item in items))
