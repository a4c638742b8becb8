"""Connected accounts whose tokens tests of TokenVault ask for, and the answers."""

from typing import Any

import pytest

from mailmesh.vault.v1.token_vault_service_pb2 import IssueTokenRequest
from services.meshkit.errors import MeshError
from tests.programs.vault import VaultGround
from tests.programs.vault_clients import Stubs

ENDPOINTS = {"ms365": "ms.token", "googlews": "google.token"}


async def connected(served: VaultGround, edge: Stubs, provider: str) -> str:
    """Connect the provider's first account; returns the tenant's id."""
    account = (await served.control.accounts(provider))[0]["address"]
    return await served.connect(edge, provider, account)


async def issue(stubs: Stubs, tenant_id: str, **fields: Any) -> Any:
    """Ask for a token; it must be lent."""
    return await stubs.mesh.IssueToken(IssueTokenRequest(tenant_id=tenant_id, **fields), timeout=30)


async def refused(stubs: Stubs, tenant_id: str, **fields: Any) -> MeshError:
    """Ask for a token that must be refused; returns the refusal."""
    with pytest.raises(MeshError) as error:
        await issue(stubs, tenant_id, **fields)
    return error.value
