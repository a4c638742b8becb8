"""Ids of calendar events: derived from calendar and provider's id, so that following again gives the same ones."""

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

    Args:
        series_id: mailmesh's UUID of the series.
        day: The local day of its original start.
    """
    return str(uuid5(UUID(series_id), day))
