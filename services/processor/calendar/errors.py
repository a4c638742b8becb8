"""Failures of calendars that a caller can act on."""

from services.meshkit.errors import FailedPrecondition, NotFound, ResourceExhausted, Unavailable


class CalendarNotFound(NotFound):
    """There is no such calendar."""

    reason = "CALENDAR_NOT_FOUND"
    resource_type = "calendar"


class CalendarEventNotFound(NotFound):
    """There is no such calendar event."""

    reason = "CALENDAR_EVENT_NOT_FOUND"
    resource_type = "calendar event"


class CalendarOccurrenceNotFound(NotFound):
    """The series has no occurrence with this original start, or it was cancelled. List the instances of the series."""

    reason = "CALENDAR_OCCURRENCE_NOT_FOUND"
    resource_type = "occurrence of a calendar event"


class CalendarNotFollowed(FailedPrecondition):
    """mailmesh does not follow this calendar. Follow it, and wait for "calendar.connected"."""

    reason = "CALENDAR_NOT_FOLLOWED"


class CalendarWindowTooLarge(FailedPrecondition):
    """The instances of the calendar's series take too much work in this window. Ask for a shorter one."""

    reason = "CALENDAR_WINDOW_TOO_LARGE"


class CalendarsNotRead(Unavailable):
    """No worker has read the tenant's list of calendars yet. Repeat the call after a few seconds."""

    reason = "CALENDARS_NOT_READ"


class CalendarProviderUnsupported(FailedPrecondition):
    """This version cannot read calendars of the tenant's provider."""

    reason = "CALENDAR_PROVIDER_UNSUPPORTED"


class CalendarReadOnly(FailedPrecondition):
    """The account may read this calendar and not change it."""

    reason = "CALENDAR_READ_ONLY"


class CalendarRuleUnsupported(FailedPrecondition):
    """The provider cannot hold this recurrence rule. A rule is never approximated."""

    reason = "CALENDAR_RULE_UNSUPPORTED"


class CalendarFieldUnsupported(FailedPrecondition):
    """The provider's events cannot have this value. Leave the field out for this provider."""

    reason = "CALENDAR_FIELD_UNSUPPORTED"


class CalendarNotifyUnsupported(FailedPrecondition):
    """The provider does not let a caller choose whom it tells in this way."""

    reason = "CALENDAR_NOTIFY_UNSUPPORTED"


class OnlineMeetingNotAllowed(FailedPrecondition):
    """The calendar does not permit online meetings of this provider."""

    reason = "ONLINE_MEETING_NOT_ALLOWED"


class CalendarEventNotInvited(FailedPrecondition):
    """The calendar's owner is no invited attendee of this event, or is its organizer: there is nothing to answer."""

    reason = "CALENDAR_EVENT_NOT_INVITED"


class CalendarEventNotOrganized(FailedPrecondition):
    """The calendar's owner is not the organizer of this event, and only the organizer may make this change."""

    reason = "CALENDAR_EVENT_NOT_ORGANIZED"


class CalendarEventChanged(FailedPrecondition):
    """The event has another version than this change names. Read it again."""

    reason = "CALENDAR_EVENT_CHANGED"


class CalendarBodyHoldsMeeting(FailedPrecondition):
    """Microsoft keeps the event's online meeting in its body: another body would end the meeting."""

    reason = "CALENDAR_BODY_HOLDS_MEETING"


class FreeBusyRefused(FailedPrecondition):
    """The provider does not answer this account's question for free and busy times."""

    reason = "FREE_BUSY_REFUSED"


class CalendarWriteNotFound(NotFound):
    """There is no such write."""

    reason = "CALENDAR_WRITE_NOT_FOUND"
    resource_type = "calendar write"


class CalendarWriteNotUncertain(FailedPrecondition):
    """The write is not uncertain: there is nothing to decide."""

    reason = "CALENDAR_WRITE_NOT_UNCERTAIN"


class CalendarWriteQueueFull(ResourceExhausted):
    """The tenant has too many unfinished writes. Wait until some are finished."""

    reason = "CALENDAR_WRITE_QUEUE_FULL"
