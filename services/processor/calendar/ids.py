"""Ids of calendar events: derived from calendar and provider's id, so that following again gives the same ones."""

from functools import lru_cache
from hashlib import sha1
from uuid import UUID, uuid5


def event_uuid(calendar_id: str, provider_event_id: str) -> str:
    """Return mailmesh's UUID of an event (version 5, RFC 9562: name-based).

    Args:
        calendar_id: mailmesh's UUID of the calendar.
        provider_event_id: The provider's id of the event.
    """
    return str(uuid5(UUID(calendar_id), provider_event_id))


def instance_uuid(series_id: str, day: str) -> str:
    """Return mailmesh's UUID of an instance that follows its series' rule.

    A page makes some hundreds of them to order its instances, so this is `uuid5` without its objects.

    Args:
        series_id: mailmesh's UUID of the series.
        day: The local day of its original start.
    """
    digest = sha1(_namespace(series_id) + day.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


@lru_cache(maxsize=4096)
def _namespace(series_id: str) -> bytes:
    return UUID(series_id).bytes
