"""Finds out who calls, and whether they may: the door of the service, the callers and the role of the RPC."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from typing_extensions import override

from services.meshkit.access import Access, Door
from services.meshkit.errors import CallerNotAllowed, CallerUnknown
from services.meshkit.identity.caller import IDENTITY_HEADERS, Caller, key_caller, set_caller
from services.meshkit.interceptors.base import Call, Interceptor

EDGE = "envoy"
"""The mesh identity that stands between the outside and us, and whose identity headers alone are believed."""


class CallerInterceptor(Interceptor):
    """Refuses whoever is not meant to call, and tells the handler who does (`current_caller()`).

    Args:
        table: The access to each method. A method that is not in it is refused to everyone.
    """

    def __init__(self, table: Mapping[str, Access]) -> None:
        super().__init__()
        self._table = table

    @override
    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        set_caller(self._admitted(call))
        yield

    def _admitted(self, call: Call) -> Caller:
        name = call.peer
        if not name:
            raise CallerUnknown
        access = self._table.get(call.method)
        if access is None or not _may_enter(name, access):
            raise CallerNotAllowed(metadata={"caller": name})
        if name != EDGE and not IDENTITY_HEADERS.isdisjoint(call.headers):
            raise CallerNotAllowed("Identity headers are the edge's to set.", metadata={"caller": name})
        return _caller(name, access, call)


def _may_enter(name: str, access: Access) -> bool:
    if access.door is Door.MESH:
        return access.callers is None or name in access.callers
    return name == EDGE


def _caller(name: str, access: Access, call: Call) -> Caller:
    match access.door:
        case Door.KEY:
            caller = key_caller(name, call.headers)
            caller.require(access.minimum_role)
            return caller
        case Door.OPEN:
            return Caller(name, tenants=frozenset())
        case _:
            return Caller(name)
