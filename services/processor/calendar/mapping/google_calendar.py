"""Google's `calendarList` entry in our form."""

import re
from typing import Any

from mailmesh.calendar.v1 import calendar_pb2 as pb2
from services.processor.calendar.mapping.fields import flag, member, text, texts
from services.processor.calendar.mapping.zones import resolve
from services.providers.names import GOOGLEWS

_COLOR = re.compile("#[0-9A-Fa-f]{6}")
_MAX_NAME = 500
_MAX_PROVIDERS = 20
_WRITERS = frozenset({"writer", "writerWithoutPrivateAccess", "owner"})
_NOT_OF_PEOPLE = ("calendar.google.com", "google.com")
"""The domains of calendars that are no person's own: secondary ones, holidays, birthdays."""


def map_calendar(found: dict[str, Any], own_address: str) -> pb2.Calendar | None:
    """Return a calendar without our id and state; None when it has no id.

    Args:
        found: The entry's JSON.
        own_address: The account's address; another owner's calendar is shared.
    """
    provider_id = text(found, "id")
    if not provider_id or flag(found, "deleted"):
        return None
    owner, color = _owner(found, provider_id, own_address), text(found, "backgroundColor")
    zone = resolve(text(found, "timeZone"))
    kinds = texts(member(found, "conferenceProperties"), "allowedConferenceSolutionTypes", 100)
    return pb2.Calendar(
        provider=GOOGLEWS,
        provider_calendar_id=provider_id,
        name=text(found, "summaryOverride", _MAX_NAME) or text(found, "summary", _MAX_NAME),
        owner_address=owner,
        is_default=flag(found, "primary"),
        is_shared=bool(owner) and owner.lower() != own_address.lower(),
        can_write=text(found, "accessRole") in _WRITERS,
        online_meeting_providers=list(kinds)[:_MAX_PROVIDERS],
        color=color if _COLOR.fullmatch(color) else "",
        time_zone="" if zone is None else zone.iana,
    )


def _owner(found: dict[str, Any], provider_id: str, own_address: str) -> str:
    """Return the owner's address: a person's primary calendar has the address as its id, others name the data owner."""
    if flag(found, "primary"):
        return own_address
    domain = provider_id.rpartition("@")[2].lower()
    is_of_person = "@" in provider_id and not domain.endswith(_NOT_OF_PEOPLE)
    return provider_id if is_of_person else text(found, "dataOwner", _MAX_NAME)
