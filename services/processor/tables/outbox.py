"""The tables of sends and their files.

sends             mail that callers asked for, its progress and its outcome
uploads, *_parts  files that callers uploaded for sends, in parts
send_files        the uploaded files that unfinished sends need
send_reports      bounces and complaints that fit a send
waiting_reports   bounces and complaints that cite a mail of which no send is known yet
kept_bytes        the bytes of sends, uploads and modifications of each tenant and API key; triggers count
"""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Integer, LargeBinary, SmallInteger, Table, Text

from services.meshkit.columns import ID, TIME, required
from services.processor.tables.schema import metadata

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
    required("is_sealed", Boolean()),
)

send_files = Table(
    "send_files",
    metadata,
    Column("send_id", ID, ForeignKey("processor.sends.send_id", ondelete="CASCADE"), primary_key=True),
    Column("upload_id", ID, ForeignKey("processor.uploads.upload_id"), primary_key=True),
)

send_reports = Table(
    "send_reports",
    metadata,
    Column("tenant_id", ID, primary_key=True),
    Column("send_id", ID, ForeignKey("processor.sends.send_id", ondelete="CASCADE"), primary_key=True),
    Column("recipient", Text(), primary_key=True),
    Column("is_complaint", Boolean(), primary_key=True),
    required("bounce", SmallInteger()),
    required("status", Text()),
    required("diagnostic", Text()),
    required("reported_at", TIME),
    required("report_message_id", Text()),
)

waiting_reports = Table(
    "waiting_reports",
    metadata,
    Column("tenant_id", ID, primary_key=True),
    Column("internet_message_id", Text(), primary_key=True),
    Column("report_message_id", Text(), primary_key=True),
    required("report", LargeBinary()),
    required("reported_at", TIME),
)

kept_bytes = Table(
    "kept_bytes",
    metadata,
    required("holder", ID, primary_key=True),
    required("bytes", BigInteger()),
    required("upload_bytes", BigInteger()),
)
