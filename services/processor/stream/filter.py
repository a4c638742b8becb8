"""Which events a reader gets: what the key may see, and what the reader asks for."""

from dataclasses import dataclass
from functools import cached_property

from mailmesh.processor.v1 import event_pb2, event_service_pb2
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import Caller
from services.meshkit.ids import check_id

MAX_TENANTS = 1000
MAX_VALUES = 100
MAX_MERGED_TENANTS = 64
_MAX_CHARACTERS = 100
_ALL_OF_KIND = ".*"


@dataclass(frozen=True)
class Selection:
    """What a reader gets.

    Args:
        tenants: The only tenants whose events it gets; None means all of them.
        providers: Limits to these; None does not.
        event_types: Limits to these, or to the kinds; None does not.
        kinds: The first words of event types that are wanted whole.
        include_replays: Also replays.
        replay_id: Only this replay.
    """

    tenants: frozenset[str] | None
    providers: list[str] | None = None
    event_types: list[str] | None = None
    kinds: tuple[str, ...] = ()
    include_replays: bool = False
    replay_id: str | None = None

    @property
    def is_merged(self) -> bool:
        """Few tenants: each one's own index is read, and not the stream with the others' events in it."""
        return self.tenants is not None and len(self.tenants) <= MAX_MERGED_TENANTS

    def takes(self, event: event_pb2.Event) -> bool:
        """Tells whether the reader gets an event, as the queries do."""
        content = event.mail if event.WhichOneof("kind") == "mail" else event.tenant
        kind = content.event_type.partition(".")[0]
        return (
            (self.tenants is None or content.tenant_id in self.tenants)
            and (self.providers is None or content.provider in self.providers)
            and (self.event_types is None or content.event_type in self.event_types or kind in self.kinds)
            and (self.include_replays or not content.replay_id)
            and (self.replay_id is None or content.replay_id == self.replay_id)
        )

    @cached_property
    def tenant_list(self) -> list[str] | None:
        """The tenants as queries take them."""
        return None if self.tenants is None else sorted(self.tenants)


def select(wanted: event_service_pb2.EventFilter, caller: Caller) -> Selection:
    """Puts together what the key may see and what the filter asks for.

    A tenant that the key may not see is passed over without a word, as one that does not exist is.

    Raises:
        FieldInvalid: The filter is too long, or an id in it is no UUID.
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
    )


def scope_of(caller: Caller) -> list[str] | None:
    """The tenants that a caller may see, as queries take them; None means all."""
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
