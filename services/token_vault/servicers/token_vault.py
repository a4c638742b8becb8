"""TokenVaultService: tokens, tenants' changes and faults, for the other services of the mesh."""

from datetime import UTC, timedelta
from typing import Any

import grpc
from typing_extensions import override

from mailmesh.vault.v1 import token_vault_service_pb2 as pb
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceServicer
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.deadlines import remaining
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import page_size
from services.providers.abilities import MAIL_READ
from services.token_vault.abilities import checked_abilities
from services.token_vault.accounts.disconnect import Disconnector
from services.token_vault.accounts.erase import Eraser
from services.token_vault.accounts.erase_person import PersonEraser, noted_progress
from services.token_vault.accounts.probe import Fault, Prober
from services.token_vault.accounts.tenant_change_feed import TenantChangeFeed
from services.token_vault.api_access.api_keys import ApiKeys
from services.token_vault.api_access.sessions import Sessions
from services.token_vault.issuers.google import PROVIDER as GOOGLE
from services.token_vault.store import audit, tenants, tokens
from services.token_vault.store.tenants import tenant_message
from services.token_vault.tokens.issue import DEFAULT_SECONDS, Lender, TokenRequest

_Context = grpc.aio.ServicerContext
_MAX_WAIT_SECONDS = 30
_MAX_SCOPES = 50
_MAX_TABLES = 200
_TABLE_CHARACTERS = 63
_DIGEST_CHARACTERS = 64
_REASONS = {
    pb.TENANT_FAULT_TOKEN_REJECTED: "token_rejected",
    pb.TENANT_FAULT_PERMISSION_MISSING: "permission_missing",
    pb.TENANT_FAULT_MAILBOX_UNAVAILABLE: "mailbox_not_enabled",
}


class TokenVaultServicer(TokenVaultServiceServicer):
    """Serves the mesh."""

    def __init__(
        self,
        lender: Lender,
        changes: TenantChangeFeed,
        prober: Prober,
        disconnector: Disconnector,
        eraser: Eraser,
        persons: PersonEraser,
        api_keys: ApiKeys,
        sessions: Sessions,
        pool: db.Pool,
        clock: Clock,
    ) -> None:
        self._lender = lender
        self._changes = changes
        self._prober = prober
        self._disconnector = disconnector
        self._eraser = eraser
        self._persons = persons
        self._api_keys = api_keys
        self._sessions = sessions
        self._pool = pool
        self._clock = clock

    @override
    async def IssueToken(self, request: pb.IssueTokenRequest, context: "_Context[Any, Any]") -> pb.IssueTokenResponse:
        loan = await self._lender.issue(_token_request(request))
        response = pb.IssueTokenResponse(
            access_token=loan.access_token.reveal(),
            scopes=loan.scopes,
            tenant=tenant_message(loan.tenant, self._clock.now()),
        )
        response.expires_at.FromDatetime(loan.expires_at)
        return response

    @override
    async def ListTenantChanges(
        self, request: pb.ListTenantChangesRequest, context: "_Context[Any, Any]"
    ) -> pb.ListTenantChangesResponse:
        if not 0 <= request.wait_seconds <= _MAX_WAIT_SECONDS:
            raise FieldInvalid.of("wait_seconds", f"must be 0 to {_MAX_WAIT_SECONDS}")
        left = remaining()
        # An empty answer must leave while there is still time to send it.
        wait = request.wait_seconds if left is None else min(request.wait_seconds, max(0.0, left - 0.5))
        return await self._changes.read(request.cursor, page_size(request.page_size), wait)

    @override
    async def ReportTenantFault(
        self, request: pb.ReportTenantFaultRequest, context: "_Context[Any, Any]"
    ) -> pb.ReportTenantFaultResponse:
        if request.fault == pb.TENANT_FAULT_ADDRESS_UNKNOWN:
            await self._prober.check_addresses(GOOGLE)
            return pb.ReportTenantFaultResponse()
        tenant_id = check_id("tenant_id", request.tenant_id)
        if request.fault == pb.TENANT_FAULT_CLEARED:
            tenant = await self._prober.clear(tenant_id)
        elif request.fault in _REASONS:
            fault = Fault(_REASONS[request.fault], request.provider_code, request.detail)
            tenant = await self._prober.report(tenant_id, fault)
        else:
            raise FieldInvalid.of("fault", "must name a fault")
        return pb.ReportTenantFaultResponse(tenant=tenant_message(tenant, self._clock.now()))

    @override
    async def ConfirmTenantRelease(
        self, request: pb.ConfirmTenantReleaseRequest, context: "_Context[Any, Any]"
    ) -> pb.ConfirmTenantReleaseResponse:
        await self._disconnector.release(check_id("tenant_id", request.tenant_id))
        return pb.ConfirmTenantReleaseResponse()

    @override
    async def GetPendingErasures(
        self, request: pb.GetPendingErasuresRequest, context: "_Context[Any, Any]"
    ) -> pb.GetPendingErasuresResponse:
        service = current_caller().name
        rows, due = await self._persons.pending(service)
        persons = [
            pb.PendingPerson(
                erasure_id=row.erasure_id,
                tenant_id=row.tenant_id,
                address=row.address,
                is_due=row.erasure_id in due,
            )
            for row in rows
        ]
        return pb.GetPendingErasuresResponse(tenant_ids=await self._eraser.pending(service), persons=persons)

    @override
    async def ConfirmErasure(
        self, request: pb.ConfirmErasureRequest, context: "_Context[Any, Any]"
    ) -> pb.ConfirmErasureResponse:
        tenant_id = check_id("tenant_id", request.tenant_id)
        if len(request.tables) > _MAX_TABLES or any(len(one.table) > _TABLE_CHARACTERS for one in request.tables):
            raise FieldInvalid.of("tables", f"must be {_MAX_TABLES} names of tables at most")
        removed = {one.table: one.rows for one in request.tables}
        if request.erasure_id:
            await self._confirm_person(request, tenant_id, removed)
        else:
            await self._eraser.confirm(current_caller().name, tenant_id, removed)
        return pb.ConfirmErasureResponse()

    async def _confirm_person(self, request: pb.ConfirmErasureRequest, tenant_id: str, removed: dict[str, int]) -> None:
        service, progress = current_caller().name, request.progress
        erasure_id = check_id("erasure_id", request.erasure_id)
        if len(progress.table) > _TABLE_CHARACTERS:
            raise FieldInvalid.of("progress.table", f"must have {_TABLE_CHARACTERS} characters at most")
        cut_off_at = progress.cut_off_at.ToDatetime(UTC)
        noted = noted_progress(cut_off_at, progress.table, progress.rows_checked, removed)
        await self._persons.note(service, tenant_id, erasure_id, noted)
        if progress.is_done:
            await self._persons.confirm(service, tenant_id, erasure_id, removed)

    @override
    async def CheckApiKey(
        self, request: pb.CheckApiKeyRequest, context: "_Context[Any, Any]"
    ) -> pb.CheckApiKeyResponse:
        key = await self._api_keys.check(check_id("api_key_id", request.api_key_id))
        if request.session_id:
            await self._sessions.check(check_id("session_id", request.session_id))
        response = pb.CheckApiKeyResponse()
        if key.expires_at is not None:
            response.expires_at.FromDatetime(key.expires_at)
        return response

    @override
    async def GetVaultStatus(
        self, request: pb.GetVaultStatusRequest, context: "_Context[Any, Any]"
    ) -> pb.GetVaultStatusResponse:
        now = self._clock.now()
        async with db.connection(self._pool) as connection:
            counts = await tenants.count_by_status(connection, now)
            _, failures = await audit.count_outcomes(connection, "token.refresh", now - timedelta(hours=1))
            since = await tokens.oldest_due(connection, now)
        waited = int((now - since).total_seconds()) if since else 0
        return pb.GetVaultStatusResponse(
            tenants_by_status=counts, refresh_failures_last_hour=failures, oldest_due_refresh_seconds=waited
        )


def _token_request(request: pb.IssueTokenRequest) -> TokenRequest:
    seconds = request.minimum_seconds if request.HasField("minimum_seconds") else DEFAULT_SECONDS
    faults = {}
    if seconds < 0:
        faults["minimum_seconds"] = "must not be negative"
    if len(request.scopes) > _MAX_SCOPES:
        faults["scopes"] = f"must be {_MAX_SCOPES} at most"
    if len(request.rejected_token_digest) not in {0, _DIGEST_CHARACTERS}:
        faults["rejected_token_digest"] = "must be a SHA-256 in hexadecimal"  # noqa: S105 - a sentence
    if faults:
        raise FieldInvalid(violations=faults)
    return TokenRequest(
        check_id("tenant_id", request.tenant_id),
        current_caller().name,
        seconds,
        tuple(request.scopes),
        request.rejected_token_digest,
        checked_abilities([request.ability or MAIL_READ], "ability")[0],
    )
