"""The tables of Delivery at the head of its migrations; a test compares the two.

endpoints             addresses, their filters and sealed secrets, their state, position and lease
deliveries            events that wait to be delivered, and exhausted ones
attempts              every request to a receiver, and the beginning of its answer
notices               events about endpoints that Processor has not published yet
erased_tenants        marks of erased tenants, and the counts of their removed rows
erased_persons        the counts of rows that erasures of persons removed or rewrote
"""

from sqlalchemy import BigInteger, Boolean, Column, Identity, Integer, LargeBinary, MetaData, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.meshkit.columns import ID, TIME, required

metadata = MetaData(schema="delivery")

endpoints = Table(
    "endpoints",
    metadata,
    required("endpoint_id", ID, primary_key=True),
    required("display_name", Text()),
    required("url", Text()),
    required("tenant_ids", ARRAY(ID)),
    required("providers", ARRAY(Text())),
    required("event_types", ARRAY(Text())),
    required("view", SmallInteger()),
    required("header_names", ARRAY(Text())),
    required("sealed_headers", LargeBinary()),
    required("timeout_ms", Integer()),
    required("concurrency", Integer()),
    required("signature", SmallInteger()),
    required("sealed_keys", LargeBinary()),
    required("public_key", Text()),
    required("sealed_by", Text()),
    required("created_by", Text()),
    required("created_at", TIME),
    Column("deleted_at", TIME),
    required("state", SmallInteger()),
    required("reason", Text()),
    required("failures", Integer()),
    Column("failing_since", TIME),
    Column("succeeded_at", TIME),
    Column("throttled_until", TIME),
    required("position", Text()),
    required("revision", BigInteger()),
    Column("lease_id", ID),
    Column("leased_until", TIME),
    required("rate", Integer()),
    required("conditions", LargeBinary()),
    required("warnings", SmallInteger()),
    required("sealed_access", LargeBinary()),
    Column("certificate_ends_at", TIME),
    required("token_url", Text()),
)

notices = Table(
    "notices",
    metadata,
    required("notice_id", ID, primary_key=True),
    Column("sequence", BigInteger(), Identity(always=True), nullable=False),
    required("endpoint_id", ID),
    required("content", LargeBinary()),
)

deliveries = Table(
    "deliveries",
    metadata,
    required("endpoint_id", ID, primary_key=True),
    required("event_id", ID, primary_key=True),
    required("tenant_id", ID),
    Column("sequence", BigInteger(), Identity(always=True), nullable=False),
    required("event_type", Text()),
    required("order_key", Text()),
    required("body", LargeBinary()),
    required("attempts", Integer()),
    Column("due_at", TIME),
    Column("failed_at", TIME),
    Column("exhausted_at", TIME),
)

attempts = Table(
    "attempts",
    metadata,
    required("attempt_id", ID, primary_key=True),
    required("endpoint_id", ID),
    required("event_id", ID),
    required("tenant_id", ID),
    required("event_type", Text()),
    required("number", Integer()),
    required("started_at", TIME),
    required("duration_ms", Integer()),
    required("is_delivered", Boolean()),
    required("status", Integer()),
    required("reason", Text()),
    required("answer", LargeBinary()),
    Column("next_attempt_at", TIME),
)

erased_tenants = Table(
    "erased_tenants",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("begun_at", TIME),
    required("removed", JSONB()),
)

erased_persons = Table(
    "erased_persons",
    metadata,
    required("erasure_id", ID, primary_key=True),
    required("tenant_id", ID),
    required("removed", JSONB()),
    required("cut_off_at", TIME),
    required("bounds", JSONB()),
    required("step", Integer()),
    required("step_at", TIME),
    Column("reached", ARRAY(Text())),
    required("checked", BigInteger()),
    Column("holder", ID),
    Column("leased_until", TIME),
    Column("finished_at", TIME),
)
