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
from services.meshkit.ids import check_id
from services.meshkit.pages import PageTokens, Position, page_size
from services.meshkit.text import check_name
from services.token_vault.accounts.directory_mailboxes import Chosen, DirectoryMailboxes
from services.token_vault.accounts.tenants import NAME_CHARACTERS
from services.token_vault.store.directories import DirectoryRow
from services.token_vault.store.tenants import tenant_message

_Context = grpc.aio.ServicerContext
_MAX_ABILITIES = 20
_MAX_ADDRESSES = 200
_ADDRESS_CHARACTERS = 320
_ADDRESS = re.compile(r"[^@]+@[^@]+")
# Graph's largest `$top` for users.
_USERS_MAX = 999
_MARK_CHARACTERS = 4000


class DirectoryServicer(DirectoryServiceServicer):
    """Serves API keys.

    Args:
        mailboxes: The use cases.
        clock: The time.
    """

    def __init__(self, mailboxes: DirectoryMailboxes, clock: Clock) -> None:
        self._mailboxes = mailboxes
        self._clock = clock
        self._pages = PageTokens(columns=(lambda value: isinstance(value, str),))

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
        directory_id, addresses = check_id("directory_id", request.directory_id), _addresses(request.allowed_addresses)
        row = await self._mailboxes.allow(current_caller(), directory_id, addresses, allows_all=request.allows_all)
        return pb.SetAllowedMailboxesResponse(directory=_directory(row))

    @override
    async def ListMailboxes(
        self, request: pb.ListMailboxesRequest, context: "_Context[Any, Any]"
    ) -> pb.ListMailboxesResponse:
        directory_id = check_id("directory_id", request.directory_id)
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
            check_id("directory_id", request.directory_id),
            check_id("mailbox_id", request.mailbox_id),
            request.display_name,
            tuple(request.abilities),
        )
        tenant = await self._mailboxes.connect(current_caller(), chosen)
        return pb.ConnectMailboxResponse(tenant=tenant_message(tenant, self._clock.now()))


def _addresses(given: Sequence[str]) -> tuple[str, ...]:
    """Return an allow-list in lower case, sorted, each address once."""
    if len(given) > _MAX_ADDRESSES:
        raise FieldInvalid.of("allowed_addresses", f"must be {_MAX_ADDRESSES} at most")
    if not all(len(one) <= _ADDRESS_CHARACTERS and _ADDRESS.fullmatch(one) for one in given):
        raise FieldInvalid.of("allowed_addresses", "must be mail addresses")
    return tuple(sorted({one.lower() for one in given}))


def _directory(row: DirectoryRow) -> pb.Directory:
    directory = pb.Directory(
        directory_id=row.directory_id,
        provider=row.provider,
        allowed_addresses=row.allowed_addresses,
        allows_all=row.allows_all,
        roles=row.roles,
    )
    directory.consented_at.FromDatetime(row.consented_at)
    return directory
