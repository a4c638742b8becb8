"""DirectoryService: organisations that admit the app, and their mailboxes."""

import re
from collections.abc import Sequence
from typing import Any

import grpc
from typing_extensions import override

from mailmesh.vault.v1 import directory_service_pb2 as pb
from mailmesh.vault.v1.directory_service_pb2_grpc import DirectoryServiceServicer
from services.meshkit.clock import Clock
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id, is_id
from services.meshkit.pages import PageTokens, Position, page_size
from services.meshkit.text import check_name
from services.providers.names import GOOGLEWS, MS365
from services.token_vault.accounts.app_credential_files import read_certificate, read_service_account
from services.token_vault.accounts.app_credentials import AppCredentials
from services.token_vault.accounts.delegations import CUSTOMER_ID, Delegations
from services.token_vault.accounts.directory_mailboxes import Chosen, DirectoryMailboxes
from services.token_vault.accounts.tenants import NAME_CHARACTERS
from services.token_vault.servicers.addresses import is_address
from services.token_vault.store.app_credentials import AppCredentialRow
from services.token_vault.store.directories import DirectoryRow
from services.token_vault.store.tenants import tenant_message
from services.token_vault.upkeep import ENDS_SOON

_Context = grpc.aio.ServicerContext
_MAX_ABILITIES = 20
_MAX_ADDRESSES = 200
_GOOGLE_USER = re.compile("[0-9]{1,40}")
# Graph's largest `$top` for users.
_USERS_MAX = 999
_MARK_CHARACTERS = 4000


class DirectoryServicer(DirectoryServiceServicer):
    """Serves keys of operators and administrators.

    Args:
        mailboxes: The use cases of organisations and their mailboxes.
        delegations: The use case of organisations at Google.
        credentials: The use cases of the app's credentials.
        clock: The time.
    """

    def __init__(
        self, mailboxes: DirectoryMailboxes, delegations: Delegations, credentials: AppCredentials, clock: Clock
    ) -> None:
        self._mailboxes = mailboxes
        self._delegations = delegations
        self._credentials = credentials
        self._clock = clock
        self._pages = PageTokens(columns=(_is_text,))
        self._credential_pages = PageTokens(columns=(_is_text, _is_text))

    @override
    async def StartConsent(
        self, request: pb.StartConsentRequest, context: "_Context[Any, Any]"
    ) -> pb.StartConsentResponse:
        directory_id, addresses = check_id("directory_id", request.directory_id), _addresses(request.allowed_addresses)
        started = await self._mailboxes.start_consent(
            current_caller(), directory_id, addresses, allows_all=request.allows_all
        )
        response = pb.StartConsentResponse(authorization_url=started.url, flow_id=started.flow_id)
        response.expires_at.FromDatetime(started.expires_at)
        return response

    @override
    async def CreateDirectory(
        self, request: pb.CreateDirectoryRequest, context: "_Context[Any, Any]"
    ) -> pb.CreateDirectoryResponse:
        administrator = request.administrator.lower()
        if not is_address(administrator):
            raise FieldInvalid.of("administrator", "must be a mail address")
        row = await self._delegations.take(
            current_caller(), administrator, _addresses(request.allowed_addresses), allows_all=request.allows_all
        )
        return pb.CreateDirectoryResponse(directory=_directory(row))

    @override
    async def AddAppCredential(
        self, request: pb.AddAppCredentialRequest, context: "_Context[Any, Any]"
    ) -> pb.AddAppCredentialResponse:
        match request.WhichOneof("credential"):
            case "microsoft_certificate":
                given, provider = request.microsoft_certificate, MS365
                read = read_certificate(given.certificate_pem, given.private_key_pem, self._clock.now())
            case "service_account_key":
                provider, read = GOOGLEWS, read_service_account(request.service_account_key)
            case _:
                raise FieldInvalid.of("credential", "must be a client certificate or a service account's key")
        row = await self._credentials.add(current_caller(), provider, read)
        return pb.AddAppCredentialResponse(credential=self._credential(row))

    @override
    async def ListAppCredentials(
        self, request: pb.ListAppCredentialsRequest, context: "_Context[Any, Any]"
    ) -> pb.ListAppCredentialsResponse:
        size, position = page_size(request.page_size), self._credential_pages.read(request)
        rows = [
            row
            for row in await self._credentials.listed(current_caller())
            if position is None or _follows(row, str(position[0]), str(position[1]))
        ]
        given = rows[:size]
        behind: Position | None = [given[-1].provider, given[-1].credential_id] if len(rows) > size else None
        return pb.ListAppCredentialsResponse(
            credentials=[self._credential(row) for row in given],
            next_page_token=self._credential_pages.write(request, behind),
        )

    @override
    async def DeleteAppCredential(
        self, request: pb.DeleteAppCredentialRequest, context: "_Context[Any, Any]"
    ) -> pb.DeleteAppCredentialResponse:
        await self._credentials.delete(current_caller(), check_id("credential_id", request.credential_id))
        return pb.DeleteAppCredentialResponse()

    def _credential(self, row: AppCredentialRow) -> pb.AppCredential:
        credential = pb.AppCredential(
            credential_id=row.credential_id,
            provider=row.provider,
            key_name=row.key_name,
            account=row.account,
            client_id=row.client_id,
            is_expiring=row.expires_at is not None and row.expires_at - self._clock.now() < ENDS_SOON,
        )
        credential.created_at.FromDatetime(row.created_at)
        if row.expires_at is not None:
            credential.expires_at.FromDatetime(row.expires_at)
        return credential

    @override
    async def ListDirectories(
        self, request: pb.ListDirectoriesRequest, context: "_Context[Any, Any]"
    ) -> pb.ListDirectoriesResponse:
        size, position = page_size(request.page_size), self._pages.read(request)
        rows = await self._mailboxes.page(current_caller(), str(position[0]) if position else "", size + 1)
        behind: Position | None = [rows[size - 1].directory_id] if len(rows) > size else None
        return pb.ListDirectoriesResponse(
            directories=[_directory(row) for row in rows[:size]], next_page_token=self._pages.write(request, behind)
        )

    @override
    async def SetAllowedMailboxes(
        self, request: pb.SetAllowedMailboxesRequest, context: "_Context[Any, Any]"
    ) -> pb.SetAllowedMailboxesResponse:
        directory_id, addresses = _directory_id(request.directory_id), _addresses(request.allowed_addresses)
        row = await self._mailboxes.allow(current_caller(), directory_id, addresses, allows_all=request.allows_all)
        return pb.SetAllowedMailboxesResponse(directory=_directory(row))

    @override
    async def ListMailboxes(
        self, request: pb.ListMailboxesRequest, context: "_Context[Any, Any]"
    ) -> pb.ListMailboxesResponse:
        directory_id = _directory_id(request.directory_id)
        size, position = min(page_size(request.page_size), _USERS_MAX), self._pages.read(request)
        mark = str(position[0])[:_MARK_CHARACTERS] if position else ""
        users, following = await self._mailboxes.mailboxes(current_caller(), directory_id, mark, size)
        return pb.ListMailboxesResponse(
            mailboxes=[
                pb.Mailbox(
                    mailbox_id=user.user_id,
                    address=user.address,
                    display_name=user.display_name,
                    is_enabled=user.is_enabled,
                )
                for user in users
            ],
            next_page_token=self._pages.write(request, [following] if following else None),
        )

    @override
    async def ConnectMailbox(
        self, request: pb.ConnectMailboxRequest, context: "_Context[Any, Any]"
    ) -> pb.ConnectMailboxResponse:
        check_name("display_name", request.display_name, NAME_CHARACTERS)
        if len(request.abilities) > _MAX_ABILITIES:
            raise FieldInvalid.of("abilities", f"must be {_MAX_ABILITIES} at most")
        chosen = Chosen(
            _directory_id(request.directory_id),
            _mailbox_id(request.mailbox_id),
            request.display_name,
            tuple(request.abilities),
        )
        tenant = await self._mailboxes.connect(current_caller(), chosen)
        return pb.ConnectMailboxResponse(tenant=tenant_message(tenant, self._clock.now()))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _follows(row: AppCredentialRow, provider: str, credential_id: str) -> bool:
    """Tell whether a credential stands behind another one: by provider, then the newest first."""
    return row.provider > provider or (row.provider == provider and row.credential_id < credential_id)


def _addresses(given: Sequence[str]) -> tuple[str, ...]:
    """Return an allow-list in lower case, sorted, each address once."""
    if len(given) > _MAX_ADDRESSES:
        raise FieldInvalid.of("allowed_addresses", f"must be {_MAX_ADDRESSES} at most")
    if not all(is_address(one) for one in given):
        raise FieldInvalid.of("allowed_addresses", "must be mail addresses")
    return tuple(sorted({one.lower() for one in given}))


def _directory_id(given: str) -> str:
    if not is_id(given) and not CUSTOMER_ID.fullmatch(given):
        raise FieldInvalid.of("directory_id", "must be a directory's UUID at Microsoft or a customer id at Google")
    return given.lower() if is_id(given) else given


def _mailbox_id(given: str) -> str:
    if not is_id(given) and not _GOOGLE_USER.fullmatch(given):
        raise FieldInvalid.of("mailbox_id", "must be a user's UUID at Microsoft or a number at Google")
    return given.lower()


def _directory(row: DirectoryRow) -> pb.Directory:
    directory = pb.Directory(
        directory_id=row.directory_id,
        provider=row.provider,
        allowed_addresses=row.allowed_addresses,
        allows_all=row.allows_all,
        roles=row.roles,
        administrator=row.administrator,
    )
    directory.consented_at.FromDatetime(row.consented_at)
    return directory
