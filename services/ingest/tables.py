"""The tables of Ingest as they are at the head of its migrations; a test compares the two.

tenants        what is followed of TokenVault's tenants
mailboxes      one row a tenant: whose turn it is, who holds it, what he was given
items          what is pending or leased, and nothing else
item_keys      what makes a notification a repeat; outlives every provider's redelivery
worked_items   what is done, in partitions by day, dropped by retention
dead_letters   what was given up, until it is put back
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.meshkit.columns import ID, TIME, required

metadata = MetaData(schema="ingest")

tenants = Table(
    "tenants",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("provider", Text()),
    required("external_tenant_id", Text()),
    required("user_id", Text()),
    required("address", Text()),
    required("status", SmallInteger()),
    required("granted_scopes", ARRAY(Text())),
    required("is_release_due", Boolean()),
    required("created_at", TIME),
    required("updated_at", TIME),
)

cursors = Table(
    "cursors",
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
    Column("next_due_at", TIME),
    required("is_waiting", Boolean()),
    required("holder", Text()),
    Column("leased_at", TIME),
    Column("lease_until", TIME),
    required("out_item_ids", ARRAY(ID)),
    Column("last_notification_at", TIME),
    Column("gap_since", TIME),
)

items = Table(
    "items",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("item_id", ID, primary_key=True),
    required("kind", SmallInteger()),
    required("received_at", TIME),
    Column("due_at", TIME),
    required("content", LargeBinary()),
    required("correlation_id", ID),
    required("traceparent", Text()),
    required("attempts", Integer()),
    required("expiries", Integer()),
    required("history", JSONB()),
)

item_keys = Table("item_keys", metadata, required("key", ID, primary_key=True), required("seen_at", TIME))

worked_items = Table(
    "worked_items",
    metadata,
    required("tenant_id", ID),
    required("item_id", ID),
    required("kind", SmallInteger()),
    required("received_at", TIME),
    required("worked_at", TIME),
    required("outcome", Text()),
    required("attempts", Integer()),
    required("content", LargeBinary()),
    required("correlation_id", ID),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    required("dead_letter_id", ID, primary_key=True),
    required("tenant_id", ID),
    required("item_id", ID),
    required("kind", SmallInteger()),
    required("received_at", TIME),
    required("content", LargeBinary()),
    required("correlation_id", ID),
    required("traceparent", Text()),
    required("attempts", Integer()),
    required("history", JSONB()),
    required("reason", Text()),
    required("detail", Text()),
    required("buried_at", TIME),
    Column("retried_at", TIME),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    required("subscription_id", ID, primary_key=True),
    required("tenant_id", ID),
    required("provider", Text()),
    required("state", SmallInteger()),
    required("folder_id", Text()),
    required("label_ids", ARRAY(Text())),
    required("change_types", ARRAY(Text())),
    required("watched", Text()),
    required("delivery_mode", SmallInteger()),
    Column("provider_subscription_id", Text()),
    Column("client_state_digest", LargeBinary()),
    Column("previous_client_state_digest", LargeBinary()),
    Column("history_id", Numeric(20, 0)),
    Column("expires_at", TIME),
    Column("renew_at", TIME),
    Column("last_notification_at", TIME),
    Column("last_renewed_at", TIME),
    Column("silence_noted_at", TIME),
    required("failure_reason", Text()),
    required("failure_detail", Text()),
    required("failures", Integer()),
    Column("reconcile_reason", SmallInteger()),
    required("lease_holder", Text()),
    Column("lease_until", TIME),
    required("lease_fence", BigInteger()),
    required("covered_from", TIME),
    required("created_at", TIME),
    required("updated_at", TIME),
)

lifecycle_notifications = Table(
    "lifecycle_notifications",
    metadata,
    required("lifecycle_id", ID, primary_key=True),
    required("subscription_id", ID),
    required("tenant_id", ID),
    required("event", Text()),
    required("received_at", TIME),
    required("due_at", TIME),
    required("correlation_id", ID),
    required("traceparent", Text()),
    required("attempts", Integer()),
    Column("lease_until", TIME),
    required("failure_reason", Text()),
    Column("worked_at", TIME),
)

refusals = Table(
    "refusals",
    metadata,
    required("minute", TIME, primary_key=True),
    required("notifications", BigInteger()),
    required("is_answered", Boolean()),
)
