"""The tables of conversations.

conversation_settings  whether and how mail of a tenant is put into conversations, and how far
conversations          the conversations
conversation_messages  the mails of conversations
conversation_links     the ids by which a mail finds its conversation
conversation_timers    the times at which the stream reminds of conversations
conversation_reports   bounces that came before the copy of the message that they cite
"""

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from services.meshkit.columns import ID, TIME, required
from services.processor.tables.schema import metadata

conversation_settings = Table(
    "conversation_settings",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("is_enabled", Boolean()),
    required("position", BigInteger()),
    required("cursor", Text()),
    required("content", LargeBinary()),
    Column("tried_at", TIME),
    required("retention_days", Integer()),
    required("quarantine_days", Integer()),
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
    required("stored_at", TIME),
    required("is_quarantined", Boolean()),
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
    required("stored_at", TIME),
)

conversation_links = Table(
    "conversation_links",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("digest", LargeBinary(), primary_key=True),
    required("conversation_id", ID, primary_key=True),
    required("is_own", Boolean()),
)

conversation_timers = Table(
    "conversation_timers",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("conversation_id", ID, primary_key=True),
    required("name", Text(), primary_key=True),
    required("due_at", TIME),
    required("attempts", Integer()),
    required("reason", Text()),
    Column("retry_at", TIME),
)

conversation_reports = Table(
    "conversation_reports",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("digest", LargeBinary(), primary_key=True),
    required("message_id", Text(), primary_key=True),
    required("report", LargeBinary()),
    required("reported_at", TIME),
)
