"""The tables of mail: cursors, states, lookups and threads.

folder_cursors  the progress of each Graph folder's reconciliation
messages        the state of each message, so that no change is published twice
lookups         Processor's own queue: messages to look up again
backfills       the backfill of each tenant that is running or was the last
thread_*        the threads of messages, and the indexes that find a thread
"""

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from services.meshkit.columns import ID, TIME, required
from services.processor.tables.schema import metadata

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
    required("stored_at", TIME),
)

backfills = Table(
    "backfills",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("provider", Text()),
    required("state", SmallInteger()),
    required("since", TIME),
    required("until", TIME),
    required("reached_at", TIME),
    required("progressed_at", TIME),
    required("link", Text()),
    Column("done_from", TIME),
    Column("done_until", TIME),
    required("messages", BigInteger()),
    required("is_cut", Boolean()),
    required("failures", Integer()),
    required("reason", Text()),
    required("detail", Text()),
    required("correlation_id", Text()),
    Column("due_at", TIME),
    Column("finished_at", TIME),
)
