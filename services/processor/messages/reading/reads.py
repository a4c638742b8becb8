"""The use cases of callers that read: one fresh mail, its MIME, an attachment."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from google.protobuf.struct_pb2 import Struct

from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import message_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.errors import FieldInvalid
from services.meshkit.shares import Shares
from services.processor.errors import TenantNotFound
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import SourceError
from services.processor.mailbox.identities import Identity
from services.processor.mailbox.provider_http import ProviderHttp
from services.processor.mailbox.token_cache import TokenCache
from services.processor.messages.reading.download import Download, skipped
from services.processor.messages.reading.failures import reported
from services.processor.messages.reading.gmail import GmailContent
from services.processor.messages.reading.graph import GraphContent
from services.processor.messages.reading.listings import FoundPage, GmailListings, GraphListings
from services.processor.messages.reading.making import gmail_change, graph_change
from services.processor.messages.reading.turns import Turns
from services.processor.settings import ProcessorSettings
from services.processor.stream.store import tenants
from services.providers.abilities import MAIL_MARK, MAIL_READ, MAIL_SEND
from services.providers.names import GOOGLEWS, MS365


class MappedMail(Protocol):
    """A fetched mail in the form of the contract."""

    @property
    def message(self) -> message_pb2.MailMessage:
        """The mail."""

    @property
    def version(self) -> str:
        """The provider's version of it."""

    @property
    def raw(self) -> Struct:
        """The provider's own object."""


_DOWNLOAD = " download"
_TURN_SECONDS = 60.0
"""The longest wait for the reads of the same mailbox before; a caller's own deadline may be shorter."""

Fetch: TypeAlias = Callable[[MailboxAccess, str], Awaitable[MappedMail]]
"""Fetches one mail by its id. Raises `SourceError`."""


@dataclass(frozen=True)
class Place:
    """The place of a mail, as a caller names it.

    Args:
        tenant_id: The tenant, well-formed.
        message_id: The provider's id of the mail; empty where a whole mailbox is read.
        is_in_scope: Whether the caller may see the tenant.
        key_id: The API key of the call; empty for a call of the mesh.
    """

    tenant_id: str
    message_id: str = ""
    is_in_scope: bool = True
    key_id: str = ""


class Reads:
    """Reads mail at the providers for callers, one fetch and one download at a time for each mailbox.

    Args:
        pool: Connections to PostgreSQL.
        http: The process's connections to the providers.
        tokens: The process's tokens.
        settings: Addresses and bounds.
        fetch: Fetches one mail.
        take_quota: The part of the mailboxes' quotas at Google that reads have.
    """

    def __init__(
        self,
        pool: db.Pool,
        http: ProviderHttp,
        tokens: TokenCache,
        settings: ProcessorSettings,
        fetch: Fetch,
        take_quota: Callable[[str, int], float],
    ) -> None:
        self._pool = pool
        self._http = http
        self._tokens = tokens
        self._settings = settings
        self._fetch = fetch
        self._take_quota = take_quota
        self._shares = Shares("reads", settings.reads, settings.reads_per_tenant)
        self._shares_of_keys = Shares("reads_of_keys", settings.reads, settings.reads_per_key)
        self._turns = Turns(_TURN_SECONDS)

    async def message(self, place: Place) -> tuple[str, MappedMail]:
        """Fetch one mail; return its provider and the mail.

        Raises:
            MeshError: See `GetMessage`.
        """
        async with self.reading(place) as access:
            return access.provider, await self._fetch(access, place.message_id)

    async def folders(self, place: Place) -> tuple[list[pb2.MailFolder], bool]:
        """List the folders of a Microsoft mailbox; tell whether there are more. Raises `MeshError`."""
        async with self.reading(place, of=MS365) as access:
            return await GraphListings(access, self._settings.ms365_graph_url).folders()

    async def labels(self, place: Place) -> list[pb2.MailLabel]:
        """List the labels of a Google mailbox. Raises `MeshError`."""
        async with self.reading(place, of=GOOGLEWS) as access:
            return await GmailListings(access, self._settings.google_gmail_url, self._take_quota).labels()

    async def search(self, place: Place, query: pb2.MessageQuery, size: int, token: str) -> FoundPage:
        """Search a mailbox by a query that was checked. Raises `MeshError`."""
        async with self.reading(place) as access:
            if access.provider == GOOGLEWS:
                google = GmailListings(access, self._settings.google_gmail_url, self._take_quota)
                return await google.search(query, size, token)
            return await GraphListings(access, self._settings.ms365_graph_url).search(query, size, token)

    async def identities(self, place: Place) -> list[Identity]:
        """List the addresses from which an account may send. Raises `MeshError`."""
        async with self.reading(place, ability=MAIL_SEND) as access:
            if access.provider == GOOGLEWS:
                google = GmailListings(access, self._settings.google_gmail_url, self._take_quota)
                return await google.identities()
            return await GraphListings(access, self._settings.ms365_graph_url).identities()

    async def change_of(self, place: Place, mark: pb2.ProcessedMark) -> pb2.MessageChange:
        """Return the change that a mark means, after making its label or folder. Raises `MeshError`."""
        async with self.reading(place, ability=MAIL_MARK) as access:
            if access.provider == GOOGLEWS:
                base = self._settings.google_gmail_url
                return await gmail_change(access, base, mark, GmailListings(access, base, self._take_quota))
            return await graph_change(access, self._settings.ms365_graph_url, mark)

    @asynccontextmanager
    async def raw(self, place: Place, offset: int) -> AsyncIterator[Download]:
        """Open a mail in MIME, from an offset on. Raises `MeshError`, also while the pieces are read."""
        async with self.reading(place, _DOWNLOAD) as access, self._content(access).raw(place.message_id) as download:
            yield replace(download, pieces=skipped(download.pieces, offset))

    @asynccontextmanager
    async def attachment(self, place: Place, attachment_id: str, offset: int) -> AsyncIterator[Download]:
        """Open an attachment, from an offset on. Raises `MeshError`, also while the pieces are read."""
        async with self.reading(place, _DOWNLOAD) as access:
            content = self._content(access)
            async with content.attachment(place.message_id, attachment_id) as download:
                yield replace(download, pieces=skipped(download.pieces, offset))

    @asynccontextmanager
    async def reading(
        self, place: Place, kind: str = "", of: str = "", ability: str = MAIL_READ
    ) -> AsyncIterator[MailboxAccess]:
        """Give access to an account in its turn, and tell the caller the failure.

        Args:
            place: The account.
            kind: The queue of reads, of which one at a time runs for each account.
            of: The only provider that has the thing; empty for both.
            ability: The ability for which tokens are asked.

        Raises:
            MeshError: The account is not found, too many reads run, or a request inside failed.
        """
        provider = await self._provider(place)
        if of not in ("", provider):
            raise FieldInvalid.of(
                "tenant_id", f"is a tenant of {provider}: ListFolders is of ms365, ListLabels of googlews"
            )
        with self._shares_of_keys.take(place.key_id), self._shares.take(place.tenant_id):
            try:
                async with self._turns.take(f"{place.tenant_id}{kind}"):
                    yield MailboxAccess(self._http, self._tokens, place.tenant_id, provider, 1, ability)
            except SourceError as exc:
                raise reported(exc, provider, place.tenant_id, place.message_id, ability) from exc

    async def _provider(self, place: Place) -> str:
        found = None
        if place.is_in_scope:
            async with db.connection(self._pool) as connection:
                found = await tenants.granted(connection, place.tenant_id)
        if found is None:
            raise TenantNotFound.of(place.tenant_id)
        # TokenVault checks the ability: tenants of an earlier release are stored without theirs.
        return found[0]

    def _content(self, access: MailboxAccess) -> "Content":
        if access.provider == GOOGLEWS:
            return GmailContent(access, self._settings.google_gmail_url, self._take_quota)
        return GraphContent(access, self._settings.ms365_graph_url)


class Content(Protocol):
    """The content of one mailbox, at either provider."""

    def raw(self, message_id: str) -> AbstractAsyncContextManager[Download]:
        """Open a mail in MIME. Raises `SourceError`."""

    def attachment(self, message_id: str, attachment_id: str) -> AbstractAsyncContextManager[Download]:
        """Open an attachment. Raises `AttachmentNotFound`, `SourceError`."""
