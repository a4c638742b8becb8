"""The tables of modifications.

modifications    changes of mails that callers asked for, and the outcome of each mail
processed_marks  how mails of tenants are marked once they are processed
own_changes      the changes of modifications whose events are expected
"""

from sqlalchemy import Column, Integer, LargeBinary, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from services.meshkit.columns import ID, TIME, required
from services.processor.tables.schema import metadata

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
