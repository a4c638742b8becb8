"""An intruder in Workflows: its database role and its certificate open nothing of the other services."""

import json

import grpc
import pytest

from mailmesh.vault.v1 import token_vault_service_pb2 as vault
from mailmesh.vault.v1 import token_vault_service_pb2_grpc as vault_services
from stack.blocking import run_blocking
from tests.programs.mesh import Mesh
from tests.security.doors import mesh_channel
from tests.security.test_delivery import readable

pytestmark = pytest.mark.timeout(300)


def test_the_database_role_of_workflows_reads_its_own_schema_only(mesh: Mesh) -> None:
    environment = json.loads((mesh.data / "environments" / "workflows.json").read_text())
    schemas, read = run_blocking(readable(environment["MAILMESH_DATABASE_URL"]))

    assert {"vault", "ingest", "processor", "delivery", "workflows"} <= schemas
    assert {"workflows"} == read


def test_the_certificate_of_workflows_gets_no_token(mesh: Mesh) -> None:
    with mesh_channel(mesh, "workflows", "vault") as channel, pytest.raises(grpc.RpcError) as refused:
        request = vault.IssueTokenRequest(tenant_id="019a9f0e-7c1e-7000-8000-000000000002")
        vault_services.TokenVaultServiceStub(channel).IssueToken(request, timeout=30)

    assert grpc.StatusCode.PERMISSION_DENIED == refused.value.code()


def test_only_the_process_of_workflows_is_given_its_keys_and_none_of_another_service(mesh: Mesh) -> None:
    files = (mesh.data / "environments").glob("*.json")
    # A service's own migration has the same variables.
    given = {path.stem.removeprefix("migrate-"): json.loads(path.read_text()).keys() for path in files}
    own = {name for name in given["workflows"] if "_KEYS" in name or name.endswith("_CLIENT_SECRET")}

    assert own == {"MAILMESH_WORKFLOWS_KEYS_FILE"}
    assert {name for name, names in given.items() if "MAILMESH_WORKFLOWS_KEYS_FILE" in names} == {"workflows"}
