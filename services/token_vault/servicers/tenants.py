"""TenantService: connect accounts and manage tenants, in the scope of a key."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import grpc
from typing_extensions import override

from mailmesh.vault.v1 import erasure_pb2, tenant_pb2
from mailmesh.vault.v1 import tenant_service_pb2 as pb
from mailmesh.vault.v1.tenant_service_pb2_grpc import TenantServiceServicer
from services.meshkit.clock import Clock
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import PageTokens, Position, is_row_id, is_time, page_size
from services.meshkit.text import check_name
from services.token_vault.accounts.authorization_status import AuthorizationReader
from services.token_vault.accounts.connect import Connector
from services.token_vault.accounts.disconnect import Disconnector
from services.token_vault.accounts.erase import Eraser
from services.token_vault.accounts.erase_person import PersonEraser
from services.token_vault.accounts.flow_steps import Wanted
from services.token_vault.accounts.probe import Prober
from services.token_vault.accounts.shared_mailboxes import SharedMailboxes, WantedMailbox
from services.token_vault.accounts.tenants import NAME_CHARACTERS, Tenants
from services.token_vault.servicers.addresses import is_address
from services.token_vault.store.erasures import ErasureRow
from services.token_vault.store.person_erasures import PersonErasureRow
from services.token_vault.store.tenants import DISCONNECTED, Scope, TenantFilter, status_name, tenant_message

_Context = grpc.aio.ServicerContext
_NOTE_CHARACTERS = 500
_HINT_CHARACTERS = 320
_MAX_ABILITIES = 20


class TenantServicer(TenantServiceServicer):
    """Serves API keys: connect, list, change, test and disconnect tenants."""

    def __init__(
        self,
        tenants: Tenants,
        connector: Connector,
        authorizations: AuthorizationReader,
        disconnector: Disconnector,
        eraser: Eraser,
        persons: PersonEraser,
        prober: Prober,
        shared: SharedMailboxes,
        clock: Clock,
    ) -> None:
        self._tenants = tenants
        self._connector = connector
        self._authorizations = authorizations
        self._disconnector = disconnector
        self._eraser = eraser
        self._persons = persons
        self._prober = prober
        self._shared = shared
        self._clock = clock
        self._pages = PageTokens(columns=(is_time, is_row_id))

    @override
    async def StartAuthorization(
        self, request: pb.StartAuthorizationRequest, context: "_Context[Any, Any]"
    ) -> pb.StartAuthorizationResponse:
        tenant_id = check_id("tenant_id", request.tenant_id) if request.tenant_id else ""
        check_name("login_hint", request.login_hint, _HINT_CHARACTERS)
        check_name("display_name", request.display_name, NAME_CHARACTERS)
        if len(request.abilities) > _MAX_ABILITIES:
            raise FieldInvalid.of("abilities", f"must be {_MAX_ABILITIES} at most")
        wanted = Wanted(request.provider, tenant_id, request.login_hint, request.display_name, tuple(request.abilities))
        started = await self._connector.start(current_caller(), wanted)
        response = pb.StartAuthorizationResponse(authorization_url=started.url, flow_id=started.flow_id)
        response.expires_at.FromDatetime(started.expires_at)
        return response

    @override
    async def GetAuthorization(
        self, request: pb.GetAuthorizationRequest, context: "_Context[Any, Any]"
    ) -> pb.GetAuthorizationResponse:
        found = await self._authorizations.read(check_id("flow_id", request.flow_id), _scope())
        response = pb.GetAuthorizationResponse(
            flow_id=found.flow_id,
            state=pb.AuthorizationState.Value(f"AUTHORIZATION_STATE_{found.state.upper()}"),
            tenant_id=found.tenant_id,
            reason=found.reason,
            metadata=found.metadata,
            missing_abilities=found.missing_abilities,
        )
        response.expires_at.FromDatetime(found.expires_at)
        return response

    @override
    async def ListTenants(
        self, request: pb.ListTenantsRequest, context: "_Context[Any, Any]"
    ) -> pb.ListTenantsResponse:
        size, position = page_size(request.page_size), self._pages.read(request)
        after = (str(position[0]), str(position[1])) if position else None
        statuses = frozenset(_status(status) for status in request.statuses)
        wanted = TenantFilter(request.provider, statuses, request.address)
        rows = await self._tenants.page(wanted, _scope(), after, size + 1)
        given, now = rows[:size], self._clock.now()
        behind: Position | None = [given[-1].created_at.isoformat(), given[-1].tenant_id] if len(rows) > size else None
        return pb.ListTenantsResponse(
            tenants=[tenant_message(row, now) for row in given], next_page_token=self._pages.write(request, behind)
        )

    @override
    async def GetTenant(self, request: pb.GetTenantRequest, context: "_Context[Any, Any]") -> pb.GetTenantResponse:
        row = await self._tenants.get(check_id("tenant_id", request.tenant_id), _scope())
        return pb.GetTenantResponse(tenant=tenant_message(row, self._clock.now()))

    @override
    async def UpdateTenant(
        self, request: pb.UpdateTenantRequest, context: "_Context[Any, Any]"
    ) -> pb.UpdateTenantResponse:
        tenant_id = check_id("tenant_id", request.tenant_id)
        if _is_renamed(request):
            row = await self._tenants.rename(tenant_id, _scope(), request.display_name)
        else:
            row = await self._tenants.get(tenant_id, _scope())
        return pb.UpdateTenantResponse(tenant=tenant_message(row, self._clock.now()))

    @override
    async def ConnectSharedMailbox(
        self, request: pb.ConnectSharedMailboxRequest, context: "_Context[Any, Any]"
    ) -> pb.ConnectSharedMailboxResponse:
        check_name("display_name", request.display_name, NAME_CHARACTERS)
        if len(request.abilities) > _MAX_ABILITIES:
            raise FieldInvalid.of("abilities", f"must be {_MAX_ABILITIES} at most")
        if not is_address(request.address):
            raise FieldInvalid.of("address", "must be a mail address")
        owner, address = check_id("tenant_id", request.tenant_id), request.address.lower()
        wanted = WantedMailbox(owner, address, request.display_name, tuple(request.abilities))
        row = await self._shared.connect(current_caller(), wanted)
        return pb.ConnectSharedMailboxResponse(tenant=tenant_message(row, self._clock.now()))

    @override
    async def DisableTenant(
        self, request: pb.DisableTenantRequest, context: "_Context[Any, Any]"
    ) -> pb.DisableTenantResponse:
        check_name("note", request.note, _NOTE_CHARACTERS)
        row = await self._tenants.disable(check_id("tenant_id", request.tenant_id), _scope(), request.note)
        return pb.DisableTenantResponse(tenant=tenant_message(row, self._clock.now()))

    @override
    async def EnableTenant(
        self, request: pb.EnableTenantRequest, context: "_Context[Any, Any]"
    ) -> pb.EnableTenantResponse:
        row = await self._tenants.enable(check_id("tenant_id", request.tenant_id), _scope())
        return pb.EnableTenantResponse(tenant=tenant_message(row, self._clock.now()))

    @override
    async def DisconnectTenant(
        self, request: pb.DisconnectTenantRequest, context: "_Context[Any, Any]"
    ) -> pb.DisconnectTenantResponse:
        row = await self._disconnector.start(check_id("tenant_id", request.tenant_id), _scope())
        return pb.DisconnectTenantResponse(tenant=tenant_message(row, self._clock.now()))

    @override
    async def EraseTenant(
        self, request: pb.EraseTenantRequest, context: "_Context[Any, Any]"
    ) -> pb.EraseTenantResponse:
        row = await self._eraser.start(check_id("tenant_id", request.tenant_id), _scope())
        return pb.EraseTenantResponse(erasure=_erasure(row))

    @override
    async def GetErasure(self, request: pb.GetErasureRequest, context: "_Context[Any, Any]") -> pb.GetErasureResponse:
        row = await self._eraser.get(check_id("tenant_id", request.tenant_id), _scope())
        return pb.GetErasureResponse(erasure=_erasure(row))

    @override
    async def ErasePerson(
        self, request: pb.ErasePersonRequest, context: "_Context[Any, Any]"
    ) -> pb.ErasePersonResponse:
        tenant_id = check_id("tenant_id", request.tenant_id)
        return pb.ErasePersonResponse(
            erasure=_person_erasure(await self._persons.start(tenant_id, request.address, _scope()))
        )

    @override
    async def GetPersonErasure(
        self, request: pb.GetPersonErasureRequest, context: "_Context[Any, Any]"
    ) -> pb.GetPersonErasureResponse:
        tenant_id, erasure_id = check_id("tenant_id", request.tenant_id), check_id("erasure_id", request.erasure_id)
        return pb.GetPersonErasureResponse(
            erasure=_person_erasure(await self._persons.get(tenant_id, erasure_id, _scope()))
        )

    @override
    async def CancelPersonErasure(
        self, request: pb.CancelPersonErasureRequest, context: "_Context[Any, Any]"
    ) -> pb.CancelPersonErasureResponse:
        tenant_id, erasure_id = check_id("tenant_id", request.tenant_id), check_id("erasure_id", request.erasure_id)
        return pb.CancelPersonErasureResponse(
            erasure=_person_erasure(await self._persons.cancel(tenant_id, erasure_id, _scope()))
        )

    @override
    async def TestConnection(
        self, request: pb.TestConnectionRequest, context: "_Context[Any, Any]"
    ) -> pb.TestConnectionResponse:
        found = await self._prober.test(check_id("tenant_id", request.tenant_id), _scope())
        response = pb.TestConnectionResponse(
            is_healthy=found.is_healthy,
            reason=found.reason,
            detail=found.detail,
            provider_address=found.address,
            missing_scopes=found.missing_scopes,
            latency_milliseconds=found.latency_milliseconds,
            missing_abilities=[
                pb.MissingAbility(ability=ability, missing_scopes=scopes)
                for ability, scopes in sorted(found.missing_abilities.items())
            ],
        )
        response.tested_at.FromDatetime(found.tested_at)
        return response


def _scope() -> Scope:
    return current_caller().tenants


def _is_renamed(request: pb.UpdateTenantRequest) -> bool:
    paths = set(request.update_mask.paths)
    if paths - {"display_name", "*"}:
        raise FieldInvalid.of("update_mask", "only display_name can be changed")
    return bool(paths) or bool(request.display_name)


def _status(number: int) -> str:
    if number not in tenant_pb2.TenantStatus.values():
        raise FieldInvalid.of("statuses", "must be statuses of tenants")
    return status_name(number)


def _erasure(row: ErasureRow) -> erasure_pb2.Erasure:
    state = erasure_pb2.ERASURE_STATE_DISCONNECTING
    if row.finished_at is not None:
        state = erasure_pb2.ERASURE_STATE_ERASED
    elif row.status in (DISCONNECTED, None):
        state = erasure_pb2.ERASURE_STATE_ERASING
    erasure = erasure_pb2.Erasure(
        tenant_id=row.tenant_id,
        state=state,
        tables=_tables(row.parts),
        report=row.report,
        signature=row.signature,
        certificate=row.certificate,
    )
    _set_times(erasure, row)
    return erasure


def _person_erasure(row: PersonErasureRow) -> erasure_pb2.PersonErasure:
    state = erasure_pb2.ERASURE_STATE_ERASING if row.finished_at is None else erasure_pb2.ERASURE_STATE_ERASED
    erasure = erasure_pb2.PersonErasure(
        erasure_id=row.erasure_id,
        tenant_id=row.tenant_id,
        address_digest=row.address_digest,
        digest_key=row.digest_key,
        state=state if row.cancelled_at is None else erasure_pb2.ERASURE_STATE_CANCELLED,
        tables=_tables({service: noted["removed"] for service, noted in row.progress.items()}),
        progress=[_progress(service, noted, service in row.parts) for service, noted in sorted(row.progress.items())],
        report=row.report,
        signature=row.signature,
        certificate=row.certificate,
    )
    _set_times(erasure, row)
    return erasure


def _progress(service: str, noted: Mapping[str, Any], is_done: bool) -> erasure_pb2.ErasureProgress:
    progress = erasure_pb2.ErasureProgress(
        service=service, table=noted["table"], rows_checked=noted["rowsChecked"], is_done=is_done
    )
    progress.cut_off_at.FromDatetime(datetime.fromisoformat(noted["cutOffAt"]))
    return progress


def _tables(parts: Mapping[str, Mapping[str, int]]) -> list[erasure_pb2.ErasedTable]:
    return [
        erasure_pb2.ErasedTable(service=service, table=table, rows=rows)
        for service, tables in sorted(parts.items())
        for table, rows in sorted(tables.items())
    ]


def _set_times(erasure: erasure_pb2.Erasure | erasure_pb2.PersonErasure, row: ErasureRow | PersonErasureRow) -> None:
    erasure.requested_at.FromDatetime(row.requested_at)
    if row.finished_at is not None:
        erasure.finished_at.FromDatetime(row.finished_at)
    if row.backups_forget_at is not None:
        erasure.backups_forget_at.FromDatetime(row.backups_forget_at)
