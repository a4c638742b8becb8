"""Export what the mesh has stored about a tenant: TokenVault gathers the rows of all services, page by page.

The token of a page is sealed, since it holds the key of a row, and only the first page is recorded in the audit log: no
caller can make a token and begin in the middle. It works for the API key that began the export, and for a day, so that
each further export has an entry of its own.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError

from mailmesh.vault.v1.tenant_rows_service_pb2 import ReadTenantRowsRequest, ReadTenantRowsResponse, TableKey
from services.meshkit import db, opaque, sealing
from services.meshkit.addresses import is_single, plain
from services.meshkit.clock import Clock
from services.meshkit.errors import FieldInvalid, PageTokenInvalid
from services.meshkit.identity.caller import current_caller
from services.token_vault.audit import actor
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.store import audit
from services.token_vault.store.tenants import Scope, get_tenant

ReadRows = Callable[[ReadTenantRowsRequest], Awaitable[ReadTenantRowsResponse]]
"""Reads a page of a service's rows."""
SERVICES = ("token-vault", "ingest", "processor", "delivery", "workflows")
"""The services that store data of tenants, in the order of an export."""
_DOMAIN = "mailmesh.vault.export"
_TOKEN_CHARACTERS = 16384
_LASTS = timedelta(days=1)
_TIME_BYTES = 8


@dataclass(frozen=True)
class _Place:
    """A place in an export.

    Args:
        began_at: The time of the first page, in whole seconds.
        service: The service that is read.
        key: The place in its rows.
    """

    began_at: datetime
    service: str
    key: TableKey


@dataclass(frozen=True)
class ExportPage:
    """A page of an export.

    Args:
        service: The service that has stored the rows.
        rows: Its answer.
        next_token: The token of the next page; empty at the end.
    """

    service: str
    rows: ReadTenantRowsResponse
    next_token: str


class Exporter:
    """Reads pages of exports.

    Args:
        pool: Connections to the database.
        ring: The key-encryption keys; the one that all processes have seals tokens.
        readers: By each of `SERVICES`: reads its rows.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, ring: KeyRing, readers: Mapping[str, ReadRows], clock: Clock) -> None:
        self._pool = pool
        self._ring = ring
        self._readers = readers
        self._clock = clock

    async def page(self, tenant_id: str, address: str, token: str, scope: Scope) -> ExportPage:
        """Read a page. Safe to call again; the first page is recorded each time.

        Args:
            tenant_id: The tenant's UUID.
            address: The address that the rows must name; empty for all rows.
            token: The token of the page; empty for the first one.
            scope: The tenants that the caller may see.

        Raises:
            TenantNotFound: The tenant does not exist, or is outside the scope.
            FieldInvalid: The address is none.
            PageTokenInvalid: No export of this tenant and address by the caller's key has given the token, or it began
                more than a day ago.
            MeshError: A service does not run, or cannot read a row.
        """
        person = _person(address)
        async with db.transaction(self._pool) as connection:
            await get_tenant(connection, tenant_id, scope)
            now = self._clock.now()
            place = self._opened(tenant_id, person, token) if token else _Place(now, SERVICES[0], TableKey())
            if not token:
                detail = {"of": "one person" if person else "all"}
                entry = audit.Entry(actor(), "tenant.export", now, tenant_id=tenant_id, detail=detail)
                await audit.append(connection, entry)
        request = ReadTenantRowsRequest(tenant_id=tenant_id, place=place.key, address=person)
        found = await self._readers[place.service](request)
        behind = [*SERVICES[SERVICES.index(place.service) + 1 :], ""][0]
        following = (place.service, found.next) if found.HasField("next") else (behind, TableKey())
        token = self._sealed(tenant_id, person, _Place(place.began_at, *following)) if following[0] else ""
        return ExportPage(place.service, found, token)

    def _sealed(self, tenant_id: str, person: str, place: _Place) -> str:
        key_id = self._ring.writing_id
        began = int(place.began_at.timestamp()).to_bytes(_TIME_BYTES, "big")
        value = began + place.service.encode() + b"\0" + place.key.SerializeToString(deterministic=True)
        sealed = sealing.seal(AESGCM(self._ring.key(key_id)), value, _bound(key_id, tenant_id, person))
        return opaque.encode(key_id.encode() + b"\0" + sealed)

    def _opened(self, tenant_id: str, person: str, token: str) -> _Place:
        try:
            key_id, _, sealed = opaque.decode(token, _TOKEN_CHARACTERS).partition(b"\0")
            name = key_id.decode("ascii")
            if name not in self._ring:
                raise _invalid()
            bound = _bound(name, tenant_id, person)
            value = sealing.open_sealed(AESGCM(self._ring.key(name)), sealed, bound)
            began_at = datetime.fromtimestamp(int.from_bytes(value[:_TIME_BYTES], "big"), UTC)
            service, _, key = value[_TIME_BYTES:].partition(b"\0")
            place = _Place(began_at, service.decode(), TableKey.FromString(key))
        except (opaque.NotOpaqueError, sealing.SealError, DecodeError, ValueError) as exc:
            raise _invalid() from exc
        if self._clock.now() - began_at > _LASTS:
            raise _invalid("belongs to an export that began more than a day ago")
        return place


def _invalid(fault: str = "does not belong to this request") -> PageTokenInvalid:
    return PageTokenInvalid(violations={"page_token": fault})


def _bound(key_id: str, tenant_id: str, person: str) -> bytes:
    """Return what a token belongs to: its tenant and person, and the caller's API key."""
    return sealing.bound_to(_DOMAIN, key_id, tenant_id, person, current_caller().key_id)


def _person(address: str) -> str:
    """Return an address as it is compared.

    Raises:
        FieldInvalid: It is none.
    """
    if not address:
        return ""
    compared = plain(address)
    if not is_single(compared):
        raise FieldInvalid.of("address", "must be one mail address, such as ann@example.com")
    return compared
