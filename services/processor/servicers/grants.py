"""Explains how a missing ability is granted: TokenVault knows on whose consent a tenant's tokens rest."""

import structlog

from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit.cache import BoundedCache
from services.meshkit.errors import MeshError
from services.processor.errors import AbilityNotGranted

logger = structlog.get_logger(__name__)

_CALL_SECONDS = 5.0
# TokenVault writes an audit entry for each refusal: a caller who repeats a refused call must not fill its log.
_KEPT_SECONDS, _MAX_KEPT = 60.0, 1000


class GrantExplainer:
    """Replaces Processor's sentence about a missing ability by TokenVault's.

    A person grants more by connecting again; the owner of a shared mailbox, or the organisation's administrator, by
    another command. TokenVault refuses the same ability in the words that fit, and names the command. Its words are
    kept for a minute.

    Args:
        stub: The client of TokenVault.
    """

    def __init__(self, stub: TokenVaultServiceAsyncStub) -> None:
        self._stub = stub
        self._kept: BoundedCache[tuple[str, str], MeshError] = BoundedCache(_MAX_KEPT, _KEPT_SECONDS)

    async def explain(self, error: MeshError) -> MeshError:
        """Return TokenVault's refusal of the ability, or the failure itself when there is none. Safe to call again."""
        tenant_id, ability = error.metadata.get("tenant_id", ""), error.metadata.get("ability", "")
        if error.reason != AbilityNotGranted.reason or error.is_remote or not tenant_id or not ability:
            return error
        if (kept := self._kept.get((tenant_id, ability))) is not None:
            return kept
        try:
            await self._stub.IssueToken(
                vault_pb2.IssueTokenRequest(tenant_id=tenant_id, ability=ability), timeout=_CALL_SECONDS
            )
        except MeshError as exc:
            if exc.reason == error.reason:
                explained = AbilityNotGranted(exc.message, subject=tenant_id, metadata=exc.metadata)
                self._kept.put((tenant_id, ability), explained)
                return explained
            logger.info("missing ability not explained", tenant_id=tenant_id, reason=exc.reason)
        # TokenVault has just learned of a grant that has not reached Processor yet, or does not answer.
        return error
