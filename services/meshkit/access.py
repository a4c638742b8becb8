"""The access to each RPC, as the contract itself states it.

The options are found by their full names in the descriptors that a service passes in, so nothing generated is imported.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, cast

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from services.meshkit.identity.caller import Role

_PACKAGE = "mailmesh.access.v1"


class Door(IntEnum):
    """The exposure of a service: the side from which it can be reached. The numbers are the contract's."""

    CLOSED = 0
    MESH = 1
    KEY = 2
    OPEN = 3


@dataclass(frozen=True)
class Access:
    """The requirements for calling one RPC.

    Args:
        door: The exposure.
        callers: Behind `MESH`, the permitted mesh identities. None: every mesh identity, for health and reflection.
        minimum_role: Behind `KEY`, the least role of the key.
        ability: Behind `KEY`, the ability that the key must have; empty for none.
    """

    door: Door
    callers: frozenset[str] | None = frozenset()
    minimum_role: Role = Role.NONE
    ability: str = ""


ANY_IDENTITY = Access(Door.MESH, callers=None)
"""Anyone with a certificate of the mesh."""


class ContractError(Exception):
    """The contract names no permitted callers for an RPC. Nothing is served then."""


def access_table(service: ServiceDescriptor) -> dict[str, Access]:
    """Read the access to each RPC of a service out of the contract's options.

    Args:
        service: The generated descriptor (`x_pb2.DESCRIPTOR.services_by_name["XService"]`).

    Returns:
        By the full method name as gRPC spells it, `/package.Service/Method`.

    Raises:
        ContractError: The service has no door, or an RPC lacks the callers or the role that its door asks for, or names
            an ability behind another door than `KEY`.
    """
    door = Door(_option(service.file.pool, service.GetOptions(), "door", 0))
    if door is Door.CLOSED:
        msg = f"{service.full_name} has no door"
        raise ContractError(msg)
    return {f"/{service.full_name}/{method.name}": _access(door, method) for method in service.methods}


def _access(door: Door, method: MethodDescriptor) -> Access:
    pool = method.containing_service.file.pool
    callers = frozenset(_option(pool, method.GetOptions(), "callers", ()))
    role = Role(_option(pool, method.GetOptions(), "minimum_role", 0))
    if door is Door.MESH and not callers:
        msg = f"{method.full_name} is behind the mesh door and names no callers"
        raise ContractError(msg)
    if door is Door.KEY and role is Role.NONE:
        msg = f"{method.full_name} is behind the key door and names no minimum_role"
        raise ContractError(msg)
    ability = _option(pool, method.GetOptions(), "ability", "")
    if ability and door is not Door.KEY:
        msg = f"{method.full_name} names an ability, which only keys have"
        raise ContractError(msg)
    return Access(door, callers, role, ability)


def _option(pool: DescriptorPool, options: Message, name: str, default: Any) -> Any:
    try:
        extension = pool.FindExtensionByName(f"{_PACKAGE}.{name}")
    except KeyError:
        return default
    # The stubs want the type of the extension, which this module does not know.
    return cast("Any", options).Extensions[extension]
