"""SearchService: callers find stored mail, and enable search for tenants."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.processor.v1 import search_service_pb2 as pb2
from mailmesh.processor.v1.search_service_pb2_grpc import SearchServiceServicer as Base
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import PageTokens, is_time, page_size
from services.meshkit.shares import Shares
from services.processor.search import terms
from services.processor.search.metrics import measured
from services.processor.search.query import MAX_CHARACTERS, read_query
from services.processor.search.requests import Criteria, Search
from services.processor.stream.filter import scope_of

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

_MAX_PAGE = 200
_ADDRESS_CHARACTERS = 320
_FOLDER_CHARACTERS = 300
_LABEL_CHARACTERS = 200


class SearchServicer(Base):
    """Answers SearchService.

    Args:
        search: The use cases.
        shares: The searches and the counts of an index's state that run at the same time, by API key.
    """

    def __init__(self, search: Search, shares: Shares) -> None:
        self._search = search
        self._shares = shares
        self._tokens = PageTokens(columns=(is_time, _is_position))

    @override
    async def SearchMail(self, request: pb2.SearchMailRequest, context: "Context") -> pb2.SearchMailResponse:
        """Return a page of mails."""
        criteria, size = _criteria(request), min(page_size(request.page_size), _MAX_PAGE)
        place = self._tokens.read(request)
        behind = None if place is None else (datetime.fromisoformat(str(place[0])).astimezone(UTC), int(place[1]))
        caller = current_caller()
        with measured(), self._shares.take(caller.key_id):
            found = await self._search.find(criteria, behind, size, scope_of(caller))
        end = None if found.end is None else [found.end[0].isoformat(), found.end[1]]
        return pb2.SearchMailResponse(
            hits=found.hits,
            next_page_token=self._tokens.write(request, end),  # type: ignore[arg-type] # a text and a number
            is_indexing=found.is_indexing,
        )

    @override
    async def GetSearchSettings(
        self, request: pb2.GetSearchSettingsRequest, context: "Context"
    ) -> pb2.GetSearchSettingsResponse:
        """Return a tenant's settings. Counting the waiting events reads the stream, as a search does."""
        tenant_id = check_id("tenant_id", request.tenant_id)
        caller = current_caller()
        with self._shares.take(caller.key_id):
            settings, index = await self._search.settings(tenant_id, scope_of(caller))
        return pb2.GetSearchSettingsResponse(settings=settings, index=index)

    @override
    async def UpdateSearchSettings(
        self, request: pb2.UpdateSearchSettingsRequest, context: "Context"
    ) -> pb2.UpdateSearchSettingsResponse:
        """Enable or disable search for a tenant."""
        tenant_id = check_id("tenant_id", request.tenant_id)
        if not request.HasField("settings"):
            raise FieldInvalid.of("settings", "is required")
        caller = current_caller()
        with self._shares.take(caller.key_id):
            settings, index = await self._search.update_settings(tenant_id, request.settings, scope_of(caller))
        return pb2.UpdateSearchSettingsResponse(settings=settings, index=index)


def _criteria(request: pb2.SearchMailRequest) -> Criteria:
    tenant_id = check_id("tenant_id", request.tenant_id)
    _check_length("query", request.query, MAX_CHARACTERS)
    return Criteria(
        tenant_id,
        read_query(request.query),
        frozenset(_fields(request)),
        request.received_after.ToDatetime(UTC) if request.HasField("received_after") else None,
        request.received_before.ToDatetime(UTC) if request.HasField("received_before") else None,
    )


def _fields(request: pb2.SearchMailRequest) -> Iterator[str]:
    """Yield the terms of the request's fields."""
    asked = {
        "from": (terms.FROM, _ADDRESS_CHARACTERS),
        "to": (terms.TO, _ADDRESS_CHARACTERS),
        "folder_id": (terms.FOLDER, _FOLDER_CHARACTERS),
        "label_id": (terms.LABEL, _LABEL_CHARACTERS),
    }
    for name, (kind, characters) in asked.items():
        value = getattr(request, name)
        _check_length(name, value, characters)
        if value:
            yield kind + (terms.plain(value) if kind in (terms.FROM, terms.TO) else value)
    if request.HasField("has_attachment"):
        yield terms.ATTACHMENT + ("1" if request.has_attachment else "0")


def _check_length(name: str, value: str, characters: int) -> None:
    if len(value) > characters:
        raise FieldInvalid.of(name, f"must not have more than {characters} characters")


def _is_position(value: str | int) -> bool:
    return isinstance(value, int) and 0 <= value < 2**63
