"""Microsoft Graph's `calendar` in our form."""

import re
from typing import Any

from mailmesh.calendar.v1 import calendar_pb2 as pb2
from services.processor.calendar.mapping.fields import flag, member, text, texts
from services.providers.names import MS365

_COLOR = re.compile("#[0-9A-Fa-f]{6}")
_MAX_NAME = 500
_MAX_PROVIDERS = 20


def map_calendar(found: dict[str, Any], own_address: str) -> pb2.Calendar | None:
    """Return a calendar without our id and state; None when it has no id.

    Args:
        found: The calendar's JSON.
        own_address: The account's address; another owner's calendar is shared.
    """
    provider_id, owner = text(found, "id"), member(found, "owner")
    if not provider_id:
        return None
    address, color = text(owner, "address", _MAX_NAME), text(found, "hexColor")
    return pb2.Calendar(
        provider=MS365,
        provider_calendar_id=provider_id,
        name=text(found, "name", _MAX_NAME),
        owner_address=address,
        owner_name=text(owner, "name", _MAX_NAME),
        is_default=flag(found, "isDefaultCalendar"),
        is_shared=bool(address) and address.lower() != own_address.lower(),
        can_write=flag(found, "canEdit"),
        online_meeting_providers=list(texts(found, "allowedOnlineMeetingProviders", 100))[:_MAX_PROVIDERS],
        color=color if _COLOR.fullmatch(color) else "",
    )
