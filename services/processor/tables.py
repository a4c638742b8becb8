"""The tables of Processor as they are at the head of its migrations; a test compares the two.

tenants               what is followed of TokenVault's tenants
followed              how far
mailboxes             one row a tenant: the fence, cursors, when it was compared
folder_cursors        how far each Graph folder is compared
messages              what is known of each message, so that nothing is told twice
lookups               Processor's own queue: messages that are looked for again
workers, duties       who is there, and who does what only one may do
stream                the one row that gives positions, the epoch, the oldest position that is kept
events                what is published, in partitions by time, dropped by retention
event_keys            what makes an event one of a kind
replays               copies that are asked for, and how far they are
thread_*              which message is in which thread, and what finds a thread
"""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, LargeBinary, MetaData, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

metadata = MetaData(schema="processor")

_ID = UUID()
_TIME = DateTime(timezone=True)


def _required(name: str, kind: Any, *, primary_key: bool = False) -> Column[Any]:
    return Column(name, kind, primary_key=primary_key, nullable=False)


tenants = Table(
    "tenants",
    metadata,
    _required("tenant_id", _ID, primary_key=True),
    _required("provider", Text()),
    _required("external_tenant_id", Text()),
    _required("user_id", Text()),
    _required("status", Text()),
    _required("change_number", BigInteger()),
    _required("changed_at", _TIME),
)

followed = Table(
    "followed",
    metadata,
    _required("name", Text(), primary_key=True),
    _required("cursor", Text()),
    _required("updated_at", _TIME),
)

mailboxes = Table(
    "mailboxes",
    metadata,
    _required("tenant_id", _ID, primary_key=True),
    _required("fence", BigInteger()),
    Column("history_id", BigInteger()),
    Column("covered_from", _TIME),
    Column("throttled_until", _TIME),
    _required("is_polled", Boolean()),
    _required("is_watched", Boolean()),
    Column("last_event_at", _TIME),
    Column("caught_up_at", _TIME),
    Column("last_reconciled_at", _TIME),
    Column("reconcile_due_at", _TIME),
    Column("resync", JSONB()),
    _required("created_at", _TIME),
)

folder_cursors = Table(
    "folder_cursors",
    metadata,
    _required("tenant_id", _ID, primary_key=True),
    _required("folder_id", Text(), primary_key=True),
    _required("alias", Text()),
    _required("link", Text()),
    _required("is_complete", Boolean()),
    _required("is_full", Boolean()),
    _required("has_baseline", Boolean()),
    _required("round_started_at", _TIME),
    Column("completed_at", _TIME),
)

messages = Table(
    "messages",
    metadata,
    _required("tenant_id", _ID, primary_key=True),
    _required("message_id", Text(), primary_key=True),
    _required("generation", Integer()),
    _required("state", SmallInteger()),
    _required("version", Text()),
    _required("folder_id", Text()),
    _required("label_ids", ARRAY(Text())),
    Column("field_digests", LargeBinary()),
    Column("open_event_id", _ID),
    Column("mail_received_at", _TIME),
    _required("seen_at", _TIME),
    _required("changed_at", _TIME),
)

lookups = Table(
    "lookups",
    metadata,
    _required("tenant_id", _ID, primary_key=True),
    _required("message_id", Text(), primary_key=True),
    _required("kinds", ARRAY(Text())),
    _required("source", SmallInteger()),
    _required("received_at", _TIME),
    _required("correlation_id", Text()),
    _required("subscription_ids", ARRAY(Text())),
    _required("version", Text()),
    Column("notification", LargeBinary()),
    _required("was_watched", Boolean()),
    Column("missing_since", _TIME),
    _required("attempts", Integer()),
    _required("reason", Text()),
    _required("due_at", _TIME),
    _required("created_at", _TIME),
)

workers = Table(
    "workers",
    metadata,
    _required("worker_id", Text(), primary_key=True),
    _required("started_at", _TIME),
    _required("seen_at", _TIME),
    _required("tenants_held", Integer()),
)

duties = Table(
    "duties",
    metadata,
    _required("name", Text(), primary_key=True),
    _required("holder", Text()),
    _required("expires_at", _TIME),
)

stream = Table(
    "stream",
    metadata,
    _required("id", SmallInteger(), primary_key=True),
    _required("epoch", LargeBinary()),
    _required("head", BigInteger()),
    Column("head_event_id", _ID),
    _required("floor", BigInteger()),
    Column("floor_event_id", _ID),
    _required("floor_raised_at", _TIME),
)

events = Table(
    "events",
    metadata,
    _required("position", BigInteger(), primary_key=True),
    _required("event_id", _ID),
    _required("tenant_id", _ID),
    _required("provider", Text()),
    _required("event_type", Text()),
    _required("kind", SmallInteger()),
    _required("received_at", _TIME),
    Column("replay_id", _ID),
    Column("original_event_id", _ID),
    _required("basic_size", Integer()),
    _required("body_size", Integer()),
    _required("raw_size", Integer()),
    _required("basic", LargeBinary()),
    _required("body", LargeBinary()),
    _required("raw", LargeBinary()),
)

event_keys = Table(
    "event_keys",
    metadata,
    _required("tenant_id", _ID, primary_key=True),
    _required("digest", LargeBinary(), primary_key=True),
    _required("event_id", _ID),
    _required("is_permanent", Boolean()),
    _required("published_at", _TIME),
)

replays = Table(
    "replays",
    metadata,
    _required("replay_id", _ID, primary_key=True),
    _required("key_id", Text()),
    Column("request_id", _ID),
    _required("request_digest", LargeBinary()),
    _required("start_position", BigInteger()),
    Column("start_event_id", _ID),
    _required("done_position", BigInteger()),
    _required("end_position", BigInteger()),
    _required("matched", BigInteger()),
    _required("appended", BigInteger()),
    _required("created_at", _TIME),
)

thread_messages = Table(
    "thread_messages",
    metadata,
    _required("tenant_id", _ID, primary_key=True),
    _required("message_id", Text(), primary_key=True),
    _required("thread_id", _ID),
    _required("provider_thread_id", Text()),
    _required("reason", SmallInteger()),
    _required("reason_message_id", Text()),
)

thread_conversations = Table(
    "thread_conversations",
    metadata,
    _required("tenant_id", _ID, primary_key=True),
    _required("provider_thread_id", Text(), primary_key=True),
    _required("thread_id", _ID),
)

thread_ids = Table(
    "thread_ids",
    metadata,
    _required("tenant_id", _ID, primary_key=True),
    _required("digest", LargeBinary(), primary_key=True),
    _required("thread_id", _ID, primary_key=True),
    _required("is_own", Boolean()),
)

thread_participants = Table(
    "thread_participants",
    metadata,
    _required("tenant_id", _ID, primary_key=True),
    _required("thread_id", _ID, primary_key=True),
    _required("address", Text(), primary_key=True),
    _required("has_written", Boolean()),
)
