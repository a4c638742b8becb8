"""The tables of calendars.

calendar_lists   when the list of an account's calendars was read, and is due
calendars        the calendars of accounts, the followed ones with their cursors
calendar_events  the events of followed calendars, and the changed instances of series
calendar_unread  the events of followed calendars that could not be read
calendar_staged  the entries of complete rounds of calendars that are still compared
calendar_writes  the changes of calendars that callers asked for, their progress and their outcome
invitations      the mail threads that invited tenants to events, by the events' UIDs
"""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Integer, LargeBinary, SmallInteger, Table, Text

from services.meshkit.columns import ID, TIME, required
from services.processor.tables.schema import metadata

calendar_lists = Table(
    "calendar_lists",
    metadata,
    required("tenant_id", ID, primary_key=True),
    Column("due_at", TIME),
    Column("read_at", TIME),
    required("failures", Integer()),
    required("reason", Text()),
    required("detail", Text()),
)

calendars = Table(
    "calendars",
    metadata,
    required("calendar_id", ID, primary_key=True),
    required("tenant_id", ID),
    required("provider_calendar_id", Text()),
    required("info", LargeBinary()),
    required("is_listed", Boolean()),
    required("state", SmallInteger()),
    required("reason", Text()),
    required("detail", Text()),
    required("follows", Integer()),
    Column("followed_at", TIME),
    Column("synced_at", TIME),
    Column("due_at", TIME),
    required("failures", Integer()),
    required("is_listing", Boolean()),
    required("cursor", Text()),
    required("round", Integer()),
    required("phase", SmallInteger()),
    Column("rounded_at", TIME),
    required("is_pushed", Boolean()),
    required("poll_reason", Text()),
    required("poll_detail", Text()),
)

calendar_events = Table(
    "calendar_events",
    metadata,
    required("calendar_event_id", ID, primary_key=True),
    Column("calendar_id", ID, ForeignKey("processor.calendars.calendar_id", ondelete="CASCADE"), nullable=False),
    Column("series_id", ID),
    required("original_day", Text()),
    required("starts_at", TIME),
    required("ends_at", TIME),
    required("is_series", Boolean()),
    required("revision", BigInteger()),
    required("round", Integer()),
    Column("deleted_at", TIME),
    required("content", LargeBinary()),
    required("uid_digest", LargeBinary()),
)

calendar_unread = Table(
    "calendar_unread",
    metadata,
    required("calendar_event_id", ID, primary_key=True),
    Column("calendar_id", ID, ForeignKey("processor.calendars.calendar_id", ondelete="CASCADE"), nullable=False),
    Column("series_id", ID),
    required("round", Integer()),
    required("reason", Text()),
    required("detail", Text()),
    required("seen_at", TIME),
)

calendar_staged = Table(
    "calendar_staged",
    metadata,
    Column("calendar_id", ID, ForeignKey("processor.calendars.calendar_id", ondelete="CASCADE"), primary_key=True),
    required("series", Text(), primary_key=True),
    required("provider_event_id", Text(), primary_key=True),
    required("round", Integer()),
    required("content", LargeBinary()),
)

calendar_writes = Table(
    "calendar_writes",
    metadata,
    required("calendar_write_id", ID, primary_key=True),
    Column("series_id", ID),
    required("provider_series_id", Text()),
    required("original_start", Text()),
    required("tenant_id", ID),
    required("calendar_id", ID),
    required("provider_calendar_id", Text()),
    required("idempotency_key", Text()),
    required("digest", LargeBinary()),
    required("provider", Text()),
    required("kind", SmallInteger()),
    required("content", LargeBinary()),
    required("state", SmallInteger()),
    required("reason", Text()),
    required("detail", Text()),
    required("correlation_id", Text()),
    required("created_at", TIME),
    Column("due_at", TIME),
    required("deadline_at", TIME),
    Column("finished_at", TIME),
    required("attempts", Integer()),
    Column("submitted_at", TIME),
    required("submissions", Integer()),
    Column("calendar_event_id", ID),
    required("provider_event_id", Text()),
    required("version_before", Text()),
    required("was_given", Boolean()),
    required("version", Text()),
    required("meeting", LargeBinary()),
    required("resolutions", Integer()),
    required("is_resolved", Boolean()),
    Column("key_id", ID),
)

invitations = Table(
    "invitations",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("uid_digest", LargeBinary(), primary_key=True),
    required("thread_id", ID),
    required("kept_until", TIME),
)
