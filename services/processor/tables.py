"""The tables of Processor at the head of its migrations; a test compares the two.

tenants               the tenants, as TokenVault's log describes them
followed              the cursors of followed logs
mailboxes             one row for each tenant: fence, cursors, last reconciliation
folder_cursors        the progress of each Graph folder's reconciliation
messages              the state of each message, so that no change is published twice
lookups               Processor's own queue: messages to look up again
modifications         changes of mails that callers asked for, and the outcome of each mail
processed_marks       how mails of tenants are marked once they are processed
own_changes           the changes of modifications whose events are expected
sends                 mail that callers asked for, its progress and its outcome
calendar_lists        when the list of an account's calendars was read, and is due
calendars             the calendars of accounts, the followed ones with their cursors
calendar_events       the events of followed calendars, and the changed instances of series
kept_bytes            the bytes of sends, uploads and modifications of each tenant and API key; triggers count
calendar_staged       the entries of complete rounds of calendars that are still compared
calendar_unread       the events of followed calendars that could not be read
uploads, *_parts      files that callers uploaded for sends, in parts
send_files            the uploaded files that unfinished sends need
workers, duties       live workers, and duties that one process has at a time
stream                the one row with the head, the epoch, and the oldest position that is kept
events                the published events, in partitions by day, dropped by retention
event_keys            the keys that make events unique
replays               requested copies and their progress
thread_*              the threads of messages, and the indexes that find a thread
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.meshkit.columns import ID, TIME, required

metadata = MetaData(schema="processor")

tenants = Table(
    "tenants",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("provider", Text()),
    required("external_tenant_id", Text()),
    required("user_id", Text()),
    required("status", Text()),
    required("change_number", BigInteger()),
    required("changed_at", TIME),
    required("granted_abilities", ARRAY(Text())),
)

followed = Table(
    "followed",
    metadata,
    required("name", Text(), primary_key=True),
    required("cursor", Text()),
    required("updated_at", TIME),
)

mailboxes = Table(
    "mailboxes",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("fence", BigInteger()),
    Column("history_id", BigInteger()),
    Column("covered_from", TIME),
    Column("throttled_until", TIME),
    required("is_polled", Boolean()),
    required("is_watched", Boolean()),
    Column("last_event_at", TIME),
    Column("caught_up_at", TIME),
    Column("last_reconciled_at", TIME),
    Column("reconcile_due_at", TIME),
    Column("resync", JSONB()),
    required("created_at", TIME),
    Column("history_claim", BigInteger()),
    Column("history_claimed_at", TIME),
    Column("history_due_at", TIME),
    Column("history_anchor", BigInteger()),
    required("cursor_refusals", Integer()),
    required("throttles", Integer()),
    Column("resync_due_at", TIME),
    required("listing_refusals", Integer()),
    Column("sends_held_until", TIME),
)

folder_cursors = Table(
    "folder_cursors",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("folder_id", Text(), primary_key=True),
    required("alias", Text()),
    required("link", Text()),
    required("is_complete", Boolean()),
    required("is_full", Boolean()),
    required("has_baseline", Boolean()),
    required("round_started_at", TIME),
    Column("completed_at", TIME),
)

messages = Table(
    "messages",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("message_id", Text(), primary_key=True),
    required("generation", Integer()),
    required("state", SmallInteger()),
    required("version", Text()),
    required("folder_id", Text()),
    required("label_ids", ARRAY(Text())),
    Column("field_digests", LargeBinary()),
    Column("open_event_id", ID),
    Column("mail_received_at", TIME),
    required("seen_at", TIME),
    required("changed_at", TIME),
)

lookups = Table(
    "lookups",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("message_id", Text(), primary_key=True),
    required("kinds", ARRAY(Text())),
    required("source", SmallInteger()),
    required("received_at", TIME),
    required("correlation_id", Text()),
    required("subscription_ids", ARRAY(Text())),
    required("version", Text()),
    Column("notification", LargeBinary()),
    required("was_watched", Boolean()),
    Column("missing_since", TIME),
    required("attempts", Integer()),
    required("reason", Text()),
    required("due_at", TIME),
    required("created_at", TIME),
)

modifications = Table(
    "modifications",
    metadata,
    required("modification_id", ID, primary_key=True),
    required("tenant_id", ID),
    required("idempotency_key", Text()),
    required("digest", LargeBinary()),
    required("provider", Text()),
    required("content", LargeBinary()),
    required("state", SmallInteger()),
    required("outcomes", LargeBinary()),
    required("reason", Text()),
    required("detail", Text()),
    required("correlation_id", Text()),
    required("created_at", TIME),
    Column("due_at", TIME),
    required("deadline_at", TIME),
    Column("finished_at", TIME),
    required("attempts", Integer()),
    Column("key_id", ID),
)

processed_marks = Table(
    "processed_marks",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("mark", LargeBinary()),
    required("change", LargeBinary()),
)

own_changes = Table(
    "own_changes",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("message_id", Text(), primary_key=True),
    required("modification_id", ID, primary_key=True),
    required("version", Text()),
    required("fields", ARRAY(Text())),
    required("labels_added", ARRAY(Text())),
    required("labels_removed", ARRAY(Text())),
    required("expires_at", TIME),
)

sends = Table(
    "sends",
    metadata,
    required("send_id", ID, primary_key=True),
    required("tenant_id", ID),
    required("idempotency_key", Text()),
    required("digest", LargeBinary()),
    required("provider", Text()),
    required("content", LargeBinary()),
    required("body", LargeBinary()),
    required("addressed", LargeBinary()),
    required("is_plain", Boolean()),
    required("state", SmallInteger()),
    required("reason", Text()),
    required("detail", Text()),
    required("correlation_id", Text()),
    required("created_at", TIME),
    Column("send_at", TIME),
    Column("due_at", TIME),
    required("deadline_at", TIME),
    Column("finished_at", TIME),
    required("attempts", Integer()),
    Column("prepared_at", TIME),
    required("draft_id", Text()),
    required("history_anchor", Text()),
    Column("submitted_at", TIME),
    required("submissions", Integer()),
    Column("accepted_at", TIME),
    required("message_id", Text()),
    required("internet_message_id", Text()),
    required("provider_thread_id", Text()),
    required("resolutions", Integer()),
    required("is_resolved", Boolean()),
    Column("key_id", ID),
)

kept_bytes = Table(
    "kept_bytes",
    metadata,
    required("holder", ID, primary_key=True),
    required("bytes", BigInteger()),
    required("upload_bytes", BigInteger()),
)

uploads = Table(
    "uploads",
    metadata,
    required("upload_id", ID, primary_key=True),
    required("tenant_id", ID),
    required("name", Text()),
    required("content_type", Text()),
    required("size_bytes", Integer()),
    required("received_bytes", Integer()),
    required("created_at", TIME),
    required("expires_at", TIME),
    Column("key_id", ID),
)

upload_parts = Table(
    "upload_parts",
    metadata,
    Column("upload_id", ID, ForeignKey("processor.uploads.upload_id", ondelete="CASCADE"), primary_key=True),
    required("start_byte", Integer(), primary_key=True),
    required("content", LargeBinary()),
)

send_files = Table(
    "send_files",
    metadata,
    Column("send_id", ID, ForeignKey("processor.sends.send_id", ondelete="CASCADE"), primary_key=True),
    Column("upload_id", ID, ForeignKey("processor.uploads.upload_id"), primary_key=True),
)

workers = Table(
    "workers",
    metadata,
    required("worker_id", Text(), primary_key=True),
    required("started_at", TIME),
    required("seen_at", TIME),
    required("tenants_held", Integer()),
)

duties = Table(
    "duties",
    metadata,
    required("name", Text(), primary_key=True),
    required("holder", Text()),
    required("expires_at", TIME),
)

stream = Table(
    "stream",
    metadata,
    required("id", SmallInteger(), primary_key=True),
    required("epoch", LargeBinary()),
    required("head", BigInteger()),
    Column("head_event_id", ID),
    required("floor", BigInteger()),
    Column("floor_event_id", ID),
    required("floor_raised_at", TIME),
)

events = Table(
    "events",
    metadata,
    required("position", BigInteger(), primary_key=True),
    required("event_id", ID),
    required("tenant_id", ID),
    required("provider", Text()),
    required("event_type", Text()),
    required("kind", SmallInteger()),
    required("received_at", TIME),
    Column("replay_id", ID),
    Column("original_event_id", ID),
    required("basic_size", Integer()),
    required("body_size", Integer()),
    required("raw_size", Integer()),
    required("basic", LargeBinary()),
    required("body", LargeBinary()),
    required("raw", LargeBinary()),
)

event_keys = Table(
    "event_keys",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("digest", LargeBinary(), primary_key=True),
    required("event_id", ID),
    required("is_permanent", Boolean()),
    required("published_at", TIME),
)

replays = Table(
    "replays",
    metadata,
    required("replay_id", ID, primary_key=True),
    required("key_id", Text()),
    Column("request_id", ID),
    required("request_digest", LargeBinary()),
    required("start_position", BigInteger()),
    Column("start_event_id", ID),
    required("done_position", BigInteger()),
    required("end_position", BigInteger()),
    required("matched", BigInteger()),
    required("appended", BigInteger()),
    required("created_at", TIME),
    required("bytes", BigInteger()),
)

thread_messages = Table(
    "thread_messages",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("message_id", Text(), primary_key=True),
    required("thread_id", ID),
    required("provider_thread_id", Text()),
    required("reason", SmallInteger()),
    required("reason_message_id", Text()),
)

thread_conversations = Table(
    "thread_conversations",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("provider_thread_id", Text(), primary_key=True),
    required("thread_id", ID),
)

thread_ids = Table(
    "thread_ids",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("digest", LargeBinary(), primary_key=True),
    required("thread_id", ID, primary_key=True),
    required("is_own", Boolean()),
)

thread_participants = Table(
    "thread_participants",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("thread_id", ID, primary_key=True),
    required("address", Text(), primary_key=True),
    required("has_written", Boolean()),
)

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

conversation_settings = Table(
    "conversation_settings",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("is_enabled", Boolean()),
    required("position", BigInteger()),
    required("cursor", Text()),
    required("content", LargeBinary()),
)

conversations = Table(
    "conversations",
    metadata,
    required("conversation_id", ID, primary_key=True),
    required("tenant_id", ID),
    required("state", SmallInteger()),
    required("last_message_at", TIME),
    Column("merged_into", ID),
    required("is_forwarded", Boolean()),
    required("reopenings", ARRAY(TIME)),
    required("automatic", ARRAY(TIME)),
    required("content", LargeBinary()),
)

conversation_messages = Table(
    "conversation_messages",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("message_id", Text(), primary_key=True),
    required("conversation_id", ID),
    required("sent_at", TIME),
    required("own_id", LargeBinary()),
    required("content", LargeBinary()),
)

conversation_links = Table(
    "conversation_links",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("digest", LargeBinary(), primary_key=True),
    required("conversation_id", ID, primary_key=True),
    required("is_own", Boolean()),
)
