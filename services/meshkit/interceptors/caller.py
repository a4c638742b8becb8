"""Identifies the caller and checks its rights: the door, the callers, the role and the ability of the RPC."""

from collections.abc import Mapping

from services.meshkit.access import Access, Door
from services.meshkit.errors import CallerNotAllowed, CallerUnknown
from services.meshkit.identity.caller import IDENTITY_HEADERS, Caller, key_caller
from services.meshkit.interceptors.call import Call

EDGE = "envoy"
"""The mesh identity that stands between the outside and us, and whose identity headers alone are believed."""


def admitted(call: Call, table: Mapping[str, Access]) -> Caller:
    """Refuse callers without the right to call.

    Args:
        call: The facts about the call.
        table: The access to each method. A method that is not in it is refused to everyone.

    Returns:
        The caller.

    Raises:
        CallerUnknown: There is no certificate of this mesh.
        CallerNotAllowed: The caller belongs to the mesh but may not call this, or it sent headers that only the edge
            may send.
        ApiKeyInvalid: The edge let a call through without naming its API key.
        RoleTooLow: The key may not do this.
        KeyLacksAbility: The key does not have the ability that this needs.
    """
    name = call.peer
    if not name:
        raise CallerUnknown
    access = table.get(call.method)
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
            if access.ability:
                caller.require_ability(access.ability)
            return caller
        case Door.OPEN:
            return Caller(name, tenants=frozenset())
        case _:
            return Caller(name)
