"""The worker's dependencies in tests, with gates to stop it: the real inbox, and a vault with simulated tokens."""

import asyncio
import hashlib
import os
from dataclasses import dataclass, field
from typing import Any

from mailmesh.vault.v1 import content_key_service_pb2 as content_keys_pb2
from mailmesh.vault.v1 import content_key_service_pb2_grpc as content_keys_grpc
from mailmesh.vault.v1 import tenant_pb2
from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from mailmesh.vault.v1 import token_vault_service_pb2_grpc as vault_grpc
from services.ingest.servicers.inbox import InboxServicer
from services.meshkit.errors import FailedPrecondition, ServiceUnavailable
from services.meshkit.ids import new_id
from simulator.control_client import SimulatorControl


class Gates:
    """Places where a test can stop a call: `close` a place, wait until it is `reached`, then `open` it."""

    def __init__(self) -> None:
        self._closed: dict[str, asyncio.Event] = {}
        self._reached: dict[str, asyncio.Event] = {}
        self._lost: set[asyncio.Event] = set()

    def close(self, name: str) -> asyncio.Event:
        """Stop the next calls at a place; the returned future is done when a call has arrived there."""
        self._closed[name], self._reached[name] = asyncio.Event(), asyncio.Event()
        return self._reached[name]

    def open(self, name: str) -> None:
        """Let calls through again."""
        if name in self._closed:
            self._closed.pop(name).set()

    def lose(self) -> None:
        """End the calls that wait at any gate: the worker that made them has died, and they do not continue."""
        self._lost.update(self._closed.values())
        for name in list(self._closed):
            self.open(name)

    async def passed(self, name: str) -> None:
        """Wait here while the place is closed."""
        if name in self._closed:
            closed = self._closed[name]
            self._reached[name].set()
            await closed.wait()
            if closed in self._lost:
                raise ServiceUnavailable


class GatedInbox(InboxServicer):
    """The real inbox, with a gate before and after each of its writes."""

    gates: Gates

    async def ClaimItems(self, request: Any, context: Any) -> Any:
        if request.endings:
            await self.gates.passed("acking")
        answer = await super().ClaimItems(request, context)
        if request.endings:
            await self.gates.passed("acked")
        if answer.leases:
            await self.gates.passed("claimed")
        return answer

    async def AckItems(self, request: Any, context: Any) -> Any:
        await self.gates.passed("acking")
        answer = await super().AckItems(request, context)
        await self.gates.passed("acked")
        return answer

    async def ExtendLease(self, request: Any, context: Any) -> Any:
        await self.gates.passed("extending")
        return await super().ExtendLease(request, context)


class ContentKeys(content_keys_grpc.ContentKeyServiceServicer):
    """Makes and lends content keys; a test also calls it without a channel, as it would call a stub."""

    def __init__(self) -> None:
        self.made: dict[str, content_keys_pb2.ContentKey] = {}
        self.reasons: dict[str, str] = {}
        """By tenant: the reason why its key does not open at TokenVault."""
        self.is_away = False

    async def CreateContentKey(
        self, request: content_keys_pb2.CreateContentKeyRequest, _context: Any = None, timeout: float = 0.0
    ) -> content_keys_pb2.CreateContentKeyResponse:
        key = content_keys_pb2.ContentKey(tenant_id=request.tenant_id, content_key_id=new_id(), key=os.urandom(32))
        self.made.setdefault(request.tenant_id, key)
        return content_keys_pb2.CreateContentKeyResponse()

    async def LendContentKeys(
        self, request: content_keys_pb2.LendContentKeysRequest, _context: Any = None, timeout: float = 0.0
    ) -> content_keys_pb2.LendContentKeysResponse:
        if self.is_away:
            raise ServiceUnavailable
        found = [
            content_keys_pb2.ContentKey(tenant_id=one, reason=self.reasons[one])
            if one in self.reasons
            else self.made[one]
            for one in request.tenant_ids
            if one in self.made
        ]
        return content_keys_pb2.LendContentKeysResponse(content_keys=found)


@dataclass
class Vault(vault_grpc.TokenVaultServiceServicer):
    """Lends the simulator's own tokens; refuses when a test says so; records the faults that are reported."""

    control: SimulatorControl
    gates: Gates
    tenants: dict[str, tenant_pb2.Tenant] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    scopes: dict[str, str] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    faults: list[vault_pb2.ReportTenantFaultRequest] = field(default_factory=list)
    issued: int = 0
    content_keys: ContentKeys = field(default_factory=ContentKeys)

    async def ListTenantChanges(self, _request: Any, _context: Any) -> vault_pb2.ListTenantChangesResponse:
        return vault_pb2.ListTenantChangesResponse(next_cursor="end")

    async def ConfirmTenantRelease(self, _request: Any, _context: Any) -> vault_pb2.ConfirmTenantReleaseResponse:
        return vault_pb2.ConfirmTenantReleaseResponse()

    async def GetPendingErasures(self, _request: Any, _context: Any) -> vault_pb2.GetPendingErasuresResponse:
        return vault_pb2.GetPendingErasuresResponse()

    async def CheckApiKey(self, _request: Any, _context: Any) -> vault_pb2.CheckApiKeyResponse:
        return vault_pb2.CheckApiKeyResponse()

    async def GetVaultStatus(self, _request: Any, _context: Any) -> vault_pb2.GetVaultStatusResponse:
        return vault_pb2.GetVaultStatusResponse()

    async def IssueToken(self, request: vault_pb2.IssueTokenRequest, _context: Any) -> vault_pb2.IssueTokenResponse:
        await self.gates.passed("token")
        if request.tenant_id in self.refusals:
            raise FailedPrecondition(reason=self.refusals[request.tenant_id], subject=request.tenant_id)
        tenant = self.tenants[request.tenant_id]
        token = self.tokens.get(request.tenant_id, "")
        if not token or hashlib.sha256(token.encode()).hexdigest() == request.rejected_token_digest:
            wanted = {"scopes": self.scopes[request.tenant_id]} if request.tenant_id in self.scopes else {}
            token = (await self.control.issue_tokens(tenant.address, **wanted))["access_token"]
            self.tokens[request.tenant_id] = token
            self.issued += 1
        return vault_pb2.IssueTokenResponse(access_token=token, tenant=tenant)

    async def ReportTenantFault(
        self, request: vault_pb2.ReportTenantFaultRequest, _context: Any
    ) -> vault_pb2.ReportTenantFaultResponse:
        self.faults.append(request)
        return vault_pb2.ReportTenantFaultResponse(tenant=self.tenants[request.tenant_id])
