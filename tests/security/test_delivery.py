"""An intruder in Delivery: its database role and its certificate open nothing of the other services."""

import json

import asyncpg
import grpc
import pytest

from mailmesh.vault.v1 import token_vault_service_pb2 as vault
from mailmesh.vault.v1 import token_vault_service_pb2_grpc as vault_services
from stack.blocking import run_blocking
from tests.programs.mesh import Mesh
from tests.security.doors import mesh_channel

pytestmark = pytest.mark.timeout(300)
_ALL_TABLES = """
    SELECT format('%I.%I', n.nspname, c.relname) AS name, n.nspname AS schema FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'S') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""


async def readable(url: str) -> tuple[set[str], set[str]]:
    """Returns the schemas of the tables that exist, and those of which the role can read a table."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(_ALL_TABLES)
        read = set()
        for table in tables:
            try:
                await connection.fetch(f"SELECT * FROM {table['name']} LIMIT 1")  # noqa: S608 - names of the catalogue
            except asyncpg.InsufficientPrivilegeError:
                continue
            read.add(table["schema"])
        return {table["schema"] for table in tables}, read
    finally:
        await connection.close()


def test_the_database_role_of_delivery_reads_its_own_schema_only(mesh: Mesh) -> None:
    environment = json.loads((mesh.data / "environments" / "delivery.json").read_text())
    schemas, read = run_blocking(readable(environment["MAILMESH_DATABASE_URL"]))

    assert {"vault", "ingest", "processor", "delivery"} <= schemas
    assert {"delivery"} == read


def test_the_certificate_of_delivery_gets_no_token(mesh: Mesh) -> None:
    with mesh_channel(mesh, "delivery", "vault") as channel, pytest.raises(grpc.RpcError) as refused:
        request = vault.IssueTokenRequest(tenant_id="019a9f0e-7c1e-7000-8000-000000000002")
        vault_services.TokenVaultServiceStub(channel).IssueToken(request, timeout=30)

    assert grpc.StatusCode.PERMISSION_DENIED == refused.value.code()


def test_the_process_of_delivery_is_given_no_secret_of_another_service(mesh: Mesh) -> None:
    environment = json.loads((mesh.data / "environments" / "delivery.json").read_text())

    assert not [name for name in environment if name.startswith("MAILMESH_VAULT_") or name.endswith("_CLIENT_SECRET")]
    assert "MAILMESH_DELIVERY_KEYS_FILE" in environment
