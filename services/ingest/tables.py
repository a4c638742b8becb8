"""The tables of Ingest as they are at the head of its migrations; a test compares the two.

tenants        what is followed of TokenVault's tenants
mailboxes      one row a tenant: whose turn it is, who holds it, what he was given
items          what is pending or leased, and nothing else
item_keys      what makes a notification a repeat; outlives every provider's redelivery
worked_items   what is done, in partitions by day, dropped by retention
dead_letters   what was given up, until it is put back
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

metadata = MetaData(schema="ingest")

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
    _required("address", Text()),
    _required("status", SmallInteger()),
    _required("granted_scopes", ARRAY(Text())),
    _required("is_release_due", Boolean()),
    _required("created_at", _TIME),
    _required("updated_at", _TIME),
)

cursors = Table(
    "cursors",
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
    Column("next_due_at", _TIME),
    _required("is_waiting", Boolean()),
    _required("holder", Text()),
    Column("leased_at", _TIME),
    Column("lease_until", _TIME),
    _required("out_item_ids", ARRAY(_ID)),
    Column("last_notification_at", _TIME),
    Column("gap_since", _TIME),
)

items = Table(
    "items",
    metadata,
    _required("tenant_id", _ID, primary_key=True),
    _required("item_id", _ID, primary_key=True),
    _required("kind", SmallInteger()),
    _required("received_at", _TIME),
    Column("due_at", _TIME),
    _required("content", LargeBinary()),
    _required("correlation_id", _ID),
    _required("traceparent", Text()),
    _required("attempts", Integer()),
    _required("expiries", Integer()),
    _required("history", JSONB()),
)

item_keys = Table("item_keys", metadata, _required("key", _ID, primary_key=True), _required("seen_at", _TIME))

worked_items = Table(
    "worked_items",
    metadata,
    _required("tenant_id", _ID),
    _required("item_id", _ID),
    _required("kind", SmallInteger()),
    _required("received_at", _TIME),
    _required("worked_at", _TIME),
    _required("outcome", Text()),
    _required("attempts", Integer()),
    _required("content", LargeBinary()),
    _required("correlation_id", _ID),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    _required("dead_letter_id", _ID, primary_key=True),
    _required("tenant_id", _ID),
    _required("item_id", _ID),
    _required("kind", SmallInteger()),
    _required("received_at", _TIME),
    _required("content", LargeBinary()),
    _required("correlation_id", _ID),
    _required("traceparent", Text()),
    _required("attempts", Integer()),
    _required("history", JSONB()),
    _required("reason", Text()),
    _required("detail", Text()),
    _required("buried_at", _TIME),
    Column("retried_at", _TIME),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    _required("subscription_id", _ID, primary_key=True),
    _required("tenant_id", _ID),
    _required("provider", Text()),
    _required("state", SmallInteger()),
    _required("folder_id", Text()),
    _required("label_ids", ARRAY(Text())),
    _required("change_types", ARRAY(Text())),
    _required("watched", Text()),
    _required("delivery_mode", SmallInteger()),
    Column("provider_subscription_id", Text()),
    Column("client_state_digest", LargeBinary()),
    Column("previous_client_state_digest", LargeBinary()),
    Column("history_id", Numeric(20, 0)),
    Column("expires_at", _TIME),
    Column("renew_at", _TIME),
    Column("last_notification_at", _TIME),
    Column("last_renewed_at", _TIME),
    Column("silence_noted_at", _TIME),
    _required("failure_reason", Text()),
    _required("failure_detail", Text()),
    _required("failures", Integer()),
    Column("reconcile_reason", SmallInteger()),
    _required("lease_holder", Text()),
    Column("lease_until", _TIME),
    _required("lease_fence", BigInteger()),
    _required("covered_from", _TIME),
    _required("created_at", _TIME),
    _required("updated_at", _TIME),
)

lifecycle_notifications = Table(
    "lifecycle_notifications",
    metadata,
    _required("lifecycle_id", _ID, primary_key=True),
    _required("subscription_id", _ID),
    _required("tenant_id", _ID),
    _required("event", Text()),
    _required("received_at", _TIME),
    _required("due_at", _TIME),
    _required("correlation_id", _ID),
    _required("traceparent", Text()),
    _required("attempts", Integer()),
    Column("lease_until", _TIME),
    _required("failure_reason", Text()),
    Column("worked_at", _TIME),
)

refusals = Table(
    "refusals",
    metadata,
    _required("minute", _TIME, primary_key=True),
    _required("notifications", BigInteger()),
    _required("is_answered", Boolean()),
)
