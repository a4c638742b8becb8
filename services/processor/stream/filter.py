"""Select the events of a reader: the tenants that the key may see, and the filter of the request."""

from dataclasses import dataclass
from functools import cached_property

from mailmesh.processor.v1 import event_pb2, event_service_pb2
from services.meshkit.errors import FieldInvalid
from services.meshkit.header_bounds import KEY_TENANTS
from services.meshkit.identity.caller import Caller
from services.meshkit.ids import check_id
from services.processor.stream.serialization import content_of
from services.providers.abilities import CALENDAR_READ, CONVERSATION_READ

MAX_TENANTS = KEY_TENANTS
MAX_VALUES = 100
MAX_MERGED_TENANTS = 64
_MAX_CHARACTERS = 100
_ALL_OF_KIND = ".*"
_NEEDED = {"calendar": CALENDAR_READ, "conversation": CONVERSATION_READ}
"""The ability that a key needs for each kind of event, beside that to read events at all."""


@dataclass(frozen=True)
class Selection:
    """The selection of events for one reader.

    Args:
        tenants: The tenants whose events are included; None means all.
        providers: The providers included; None means all.
        event_types: The event types included, beside `kinds`; None means all.
        kinds: The first words of event types that are included as a whole.
        include_replays: Whether replays are included.
        replay_id: Only this replay is included.
        hidden: The first words of event types that are excluded, because the key lacks the ability to read them.
    """

    tenants: frozenset[str] | None
    providers: list[str] | None = None
    event_types: list[str] | None = None
    kinds: tuple[str, ...] = ()
    include_replays: bool = False
    replay_id: str | None = None
    hidden: tuple[str, ...] = ()

    @property
    def is_merged(self) -> bool:
        """Whether the selection has few tenants: then each tenant's index is read instead of the whole stream."""
        return self.tenants is not None and len(self.tenants) <= MAX_MERGED_TENANTS

    def takes(self, event: event_pb2.Event) -> bool:
        """Return whether the selection includes an event, by the same rules as the queries."""
        content = content_of(event)
        kind = content.event_type.partition(".")[0]
        return (
            (self.tenants is None or content.tenant_id in self.tenants)
            and (self.providers is None or content.provider in self.providers)
            and (self.event_types is None or content.event_type in self.event_types or kind in self.kinds)
            and (self.include_replays or not content.replay_id)
            and (self.replay_id is None or content.replay_id == self.replay_id)
            and kind not in self.hidden
        )

    @cached_property
    def tenant_list(self) -> list[str] | None:
        """The tenants in the form that queries take."""
        return None if self.tenants is None else sorted(self.tenants)


def select(wanted: event_service_pb2.EventFilter, caller: Caller) -> Selection:
    """Combine the key's scope with the request's filter.

    A tenant outside the key's scope is ignored silently, like a tenant that does not exist.

    Raises:
        FieldInvalid: The filter is too long, or one of its ids is not a UUID.
    """
    _check_length("filter.tenant_ids", len(wanted.tenant_ids), MAX_TENANTS)
    asked = frozenset(check_id(f"filter.tenant_ids[{n}]", value) for n, value in enumerate(wanted.tenant_ids))
    types = _values("filter.event_types", list(wanted.event_types))
    return Selection(
        tenants=_visible(asked, caller),
        providers=_values("filter.providers", list(wanted.providers)),
        event_types=types,
        kinds=tuple(value.removesuffix(_ALL_OF_KIND) for value in types or () if value.endswith(_ALL_OF_KIND)),
        include_replays=wanted.include_replays or bool(wanted.replay_id),
        replay_id=check_id("filter.replay_id", wanted.replay_id) if wanted.replay_id else None,
        hidden=_hidden_from(caller),
    )


def is_hidden(event: event_pb2.Event, caller: Caller) -> bool:
    """Return whether an event does not exist for a caller, because its key lacks the ability to read such events."""
    return content_of(event).event_type.partition(".")[0] in _hidden_from(caller)


def _hidden_from(caller: Caller) -> tuple[str, ...]:
    return tuple(kind for kind, ability in _NEEDED.items() if not caller.has_ability(ability))


def scope_of(caller: Caller) -> list[str] | None:
    """Return the tenants that a caller may see, in the form that queries take; None means all."""
    return None if caller.tenants is None else sorted(caller.tenants)


def _visible(asked: frozenset[str], caller: Caller) -> frozenset[str] | None:
    if not asked:
        return caller.tenants
    return asked if caller.tenants is None else asked & caller.tenants


def _values(field: str, values: list[str]) -> list[str] | None:
    _check_length(field, len(values), MAX_VALUES)
    for place, value in enumerate(values):
        if not value or len(value) > _MAX_CHARACTERS or "\0" in value:
            raise FieldInvalid.of(f"{field}[{place}]", f"must have 1 to {_MAX_CHARACTERS} characters")
    return values or None


def _check_length(field: str, length: int, maximum: int) -> None:
    if length > maximum:
        raise FieldInvalid.of(field, f"must not have more than {maximum} values")
