"""The caller of the running call."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum

from services.meshkit.errors import ApiKeyInvalid, CallerUnknown, KeyLacksAbility, RoleTooLow
from services.meshkit.identity.certificates import TRUST_DOMAIN

_SPIFFE_PREFIX = f"spiffe://{TRUST_DOMAIN}/"
KEY_ID_HEADER = "x-mailmesh-key-id"
ROLE_HEADER = "x-mailmesh-role"
TENANTS_HEADER = "x-mailmesh-tenants"
ABILITIES_HEADER = "x-mailmesh-abilities"
SESSION_HEADER = "x-mailmesh-session-id"
"""The browser's session that stood for the key, if one did."""
SOURCE_HEADER = "x-mailmesh-source-address"
"""The address that a request from outside came from. It grants nothing: it bounds the share of one address."""
IDENTITY_HEADERS = frozenset({KEY_ID_HEADER, ROLE_HEADER, TENANTS_HEADER, ABILITIES_HEADER, SESSION_HEADER})
ALL_TENANTS = "*"
ALL_ABILITIES = "*"
DEFAULT_ABILITIES = frozenset({"mail.read"})
"""The abilities of a key for which the edge names none: those of all keys before abilities existed."""


class Role(IntEnum):
    """The rights of an API key. Each role includes the ones below it; the numbers are the contract's."""

    NONE = 0
    READER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def label(self) -> str:
        """As headers and messages spell it."""
        return self.name.lower()


_ROLES = {role.label: role for role in Role if role is not Role.NONE}


@dataclass(frozen=True)
class Caller:
    """The caller, and the tenants that it may see.

    Args:
        name: The mesh identity on the other side of the connection.
        key_id: The API key behind a call through the edge, else empty.
        role: The rights of that key; `NONE` without a key.
        tenants: The tenants that the caller may see. None means all of them.
        abilities: The abilities of that key, `ALL_ABILITIES` for all; none without a key.
        session_id: The browser's session that stood for the key, empty without one.
    """

    name: str
    key_id: str = ""
    role: Role = Role.NONE
    tenants: frozenset[str] | None = None
    abilities: frozenset[str] = frozenset()
    session_id: str = ""

    def may_see(self, tenant_id: str) -> bool:
        """Tell whether a tenant is in the caller's scope."""
        return self.tenants is None or tenant_id in self.tenants

    def has_ability(self, ability: str) -> bool:
        """Tell whether the key has an ability."""
        return ability in self.abilities or ALL_ABILITIES in self.abilities

    def require_ability(self, ability: str) -> None:
        """Let the caller through if its key has an ability.

        Raises:
            KeyLacksAbility: The key does not have it.
        """
        if not self.has_ability(ability):
            abilities = ",".join(sorted(self.abilities))
            raise KeyLacksAbility(metadata={"required_ability": ability, "abilities": abilities})

    def require(self, minimum: Role) -> None:
        """Let the caller through from a role upwards.

        Raises:
            RoleTooLow: The role is lower.
        """
        if self.role < minimum:
            raise RoleTooLow(metadata={"required_role": minimum.label, "role": self.role.label})


_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)


def current_caller() -> Caller:
    """The caller of the RPC that runs here.

    Raises:
        CallerUnknown: No RPC runs here, or it came in without the caller check.
    """
    caller = _caller.get()
    if caller is None:
        raise CallerUnknown
    return caller


def set_caller(caller: Caller) -> None:
    """Set the caller of this task from here on."""
    _caller.set(caller)


@contextmanager
def calling_as(caller: Caller) -> Iterator[Caller]:
    """Run the block as if that caller had made a call: for commands and tests."""
    token = _caller.set(caller)
    try:
        yield caller
    finally:
        _caller.reset(token)


def mesh_name(auth_context: Mapping[str, Iterable[bytes]]) -> str:
    """Read the mesh identity from the certificate that the other side has proven.

    Args:
        auth_context: gRPC's facts about the connection.

    Raises:
        CallerUnknown: There is no certificate, it names no identity of this trust domain, or more than one.
    """
    uris = {bytes(uri).decode("ascii", "replace") for uri in auth_context.get("peer_uri", ())}
    names = {uri.removeprefix(_SPIFFE_PREFIX) for uri in uris if uri.startswith(_SPIFFE_PREFIX)}
    if len(names) != 1 or len(uris) != 1 or "" in names:
        raise CallerUnknown
    return names.pop()


def key_caller(name: str, headers: Mapping[str, str]) -> Caller:
    """Read the caller behind a call through the edge.

    Args:
        name: The edge's own mesh identity; it alone is believed.
        headers: The call's metadata, as the edge wrote it.

    Raises:
        ApiKeyInvalid: The edge let a call through without saying for whom.
    """
    key_id, role = headers.get(KEY_ID_HEADER, ""), _ROLES.get(headers.get(ROLE_HEADER, ""))
    tenants = headers.get(TENANTS_HEADER, "")
    if not key_id or role is None or not tenants:
        raise ApiKeyInvalid
    scope = None if tenants == ALL_TENANTS else _parts(tenants)
    abilities = headers.get(ABILITIES_HEADER)
    granted = DEFAULT_ABILITIES if abilities is None else _abilities(abilities)
    return Caller(name, key_id, role, scope, granted, headers.get(SESSION_HEADER, ""))


def _abilities(header: str) -> frozenset[str]:
    """Read the abilities. `*` stands alone: beside others, as a header that comes twice would have it, it is none."""
    return frozenset({ALL_ABILITIES}) if header == ALL_ABILITIES else _parts(header) - {ALL_ABILITIES}


def _parts(header: str) -> frozenset[str]:
    return frozenset(part.strip() for part in header.split(",") if part.strip())
