"""Tokens lent by TokenVault, kept in memory for some minutes."""

import hashlib
import time
from dataclasses import dataclass

import structlog

from mailmesh.vault.v1 import tenant_pb2
from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret
from services.processor.mailbox.failures import SourceError, token_refused
from services.processor.metrics import TOKENS
from services.providers.abilities import ABILITIES, MAIL_READ

logger = structlog.get_logger(__name__)

_MAX_KEPT = 10_000
_CALL_SECONDS = 15.0
_MINIMUM_SECONDS = 300
_DETAIL_CHARACTERS = 500


@dataclass(frozen=True)
class LentToken:
    """A token with its tenant.

    Args:
        token: The bearer token.
        tenant: The tenant as TokenVault described it with the token.
        drop_at: The time at which it is dropped, on the monotonic clock.
    """

    token: Secret
    tenant: tenant_pb2.Tenant
    drop_at: float


class TokenCache:
    """Lends tokens to the workers of this process.

    Args:
        stub: The client of TokenVault.
        keep_seconds: How long a token is kept, at most 300.
    """

    def __init__(self, stub: TokenVaultServiceAsyncStub, keep_seconds: float) -> None:
        self._stub = stub
        self._keep_seconds = keep_seconds
        self._kept: dict[tuple[str, str], LentToken] = {}
        self._drops = 0

    async def of(self, tenant_id: str, ability: str = MAIL_READ) -> LentToken:
        """Return a token for an ability that stays valid for five more minutes.

        Raises:
            SourceError: TokenVault lends no token.
        """
        kept = self._kept.get((tenant_id, ability))
        if kept is not None and kept.drop_at > time.monotonic():
            TOKENS.labels("kept").inc()
            return kept
        return await self._ask(
            vault_pb2.IssueTokenRequest(tenant_id=tenant_id, minimum_seconds=_MINIMUM_SECONDS, ability=ability)
        )

    async def another(self, tenant_id: str, rejected: Secret, ability: str = MAIL_READ) -> LentToken:
        """Return another token than one that the provider refused.

        Raises:
            SourceError: TokenVault lends no token.
        """
        self.drop(tenant_id)
        digest = hashlib.sha256(rejected.reveal().encode()).hexdigest()
        return await self._ask(
            vault_pb2.IssueTokenRequest(
                tenant_id=tenant_id,
                minimum_seconds=_MINIMUM_SECONDS,
                rejected_token_digest=digest,
                ability=ability,
            )
        )

    def drop(self, tenant_id: str) -> None:
        """Drop a tenant's tokens, and one that is being requested. Safe to call again."""
        self._drops += 1
        for ability in ABILITIES:
            self._kept.pop((tenant_id, ability), None)

    def drop_all(self) -> None:
        """Drop all tokens. Safe to call again."""
        self._drops += 1
        self._kept.clear()

    async def report(self, tenant_id: str, error: SourceError) -> None:
        """Report a failure to TokenVault, if it is the tenant's. Safe to call again."""
        if error.rule.fault == vault_pb2.TENANT_FAULT_UNSPECIFIED:
            return
        self.drop(tenant_id)
        try:
            await self._stub.ReportTenantFault(
                vault_pb2.ReportTenantFaultRequest(
                    tenant_id=tenant_id,
                    fault=error.rule.fault,
                    provider_code=error.code[:200],
                    detail=error.detail[:_DETAIL_CHARACTERS],
                ),
                timeout=_CALL_SECONDS,
            )
        except MeshError as exc:  # the next attempt at the same work meets and reports it again
            logger.warning("fault not reported", tenant_id=tenant_id, error=exc.reason)

    async def _ask(self, request: vault_pb2.IssueTokenRequest) -> LentToken:
        drops = self._drops
        try:
            lent = await self._stub.IssueToken(request, timeout=_CALL_SECONDS)
        except MeshError as exc:
            TOKENS.labels("refused").inc()
            raise token_refused(exc.reason) from exc
        TOKENS.labels("lent").inc()
        token = LentToken(Secret(lent.access_token), lent.tenant, time.monotonic() + self._keep_seconds)
        if self._drops == drops:
            self._keep((request.tenant_id, request.ability), token)
        return token

    def _keep(self, key: tuple[str, str], token: LentToken) -> None:
        if len(self._kept) >= _MAX_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[key] = token
