"""The inbox, its keys, the followed tenants, subscriptions, dead letters.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    # The followed states of tenants: TokenVault decides, Ingest copies.
    """
    CREATE TABLE ingest.tenants (
        tenant_id uuid PRIMARY KEY,
        provider text NOT NULL,
        external_tenant_id text NOT NULL,
        user_id text NOT NULL,
        address text NOT NULL,
        status smallint NOT NULL,
        granted_scopes text[] NOT NULL DEFAULT '{}',
        is_release_due boolean NOT NULL DEFAULT false,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX tenants_address ON ingest.tenants (provider, address)",
    "CREATE INDEX tenants_release_due ON ingest.tenants (tenant_id) WHERE is_release_due",
    """
    CREATE TABLE ingest.cursors (
        name text PRIMARY KEY,
        cursor text NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    # One row a tenant: whose turn it is, who holds it, under which fence, and what he was given.
    """
    CREATE TABLE ingest.mailboxes (
        tenant_id uuid PRIMARY KEY,
        fence bigint NOT NULL DEFAULT 0,
        next_due_at timestamptz,
        is_waiting boolean NOT NULL DEFAULT false,
        holder text NOT NULL DEFAULT '',
        leased_at timestamptz,
        lease_until timestamptz,
        out_item_ids uuid[] NOT NULL DEFAULT '{}',
        last_notification_at timestamptz,
        gap_since timestamptz
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000)
    """,
    "CREATE INDEX mailboxes_due ON ingest.mailboxes (next_due_at) WHERE next_due_at IS NOT NULL AND NOT is_waiting",
    # Only pending and leased items: a processed item moves to worked_items.
    """
    CREATE TABLE ingest.items (
        tenant_id uuid NOT NULL,
        item_id uuid NOT NULL,
        kind smallint NOT NULL,
        received_at timestamptz NOT NULL,
        due_at timestamptz,
        content bytea NOT NULL,
        correlation_id uuid NOT NULL,
        traceparent text NOT NULL DEFAULT '',
        attempts integer NOT NULL DEFAULT 0,
        expiries integer NOT NULL DEFAULT 0,
        history jsonb NOT NULL DEFAULT '[]',
        PRIMARY KEY (tenant_id, item_id)
    ) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000)
    """,
    "CREATE INDEX items_ready ON ingest.items (tenant_id, item_id) WHERE due_at IS NULL",
    "CREATE INDEX items_delayed ON ingest.items (tenant_id, due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX items_reconcile ON ingest.items (tenant_id) WHERE kind = 10",
    # A unique key cannot span time partitions, so keys have a table of their own.
    """
    CREATE TABLE ingest.item_keys (
        key uuid PRIMARY KEY,
        seen_at timestamptz NOT NULL
    ) WITH (autovacuum_vacuum_insert_scale_factor = 0.5)
    """,
    """
    CREATE TABLE ingest.worked_items (
        tenant_id uuid NOT NULL,
        item_id uuid NOT NULL,
        kind smallint NOT NULL,
        received_at timestamptz NOT NULL,
        worked_at timestamptz NOT NULL,
        outcome text NOT NULL,
        attempts integer NOT NULL,
        content bytea NOT NULL,
        correlation_id uuid NOT NULL
    ) PARTITION BY RANGE (worked_at)
    """,
    "CREATE TABLE ingest.worked_items_default PARTITION OF ingest.worked_items DEFAULT",
    """
    CREATE TABLE ingest.dead_letters (
        dead_letter_id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        item_id uuid NOT NULL UNIQUE,
        kind smallint NOT NULL,
        received_at timestamptz NOT NULL,
        content bytea NOT NULL,
        correlation_id uuid NOT NULL,
        traceparent text NOT NULL DEFAULT '',
        attempts integer NOT NULL,
        history jsonb NOT NULL,
        reason text NOT NULL,
        detail text NOT NULL,
        buried_at timestamptz NOT NULL,
        retried_at timestamptz
    )
    """,
    "CREATE INDEX dead_letters_tenant ON ingest.dead_letters (tenant_id, dead_letter_id)",
    "CREATE INDEX dead_letters_open ON ingest.dead_letters (dead_letter_id) WHERE retried_at IS NULL",
    """
    CREATE TABLE ingest.subscriptions (
        subscription_id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        provider text NOT NULL,
        state smallint NOT NULL,
        folder_id text NOT NULL DEFAULT '',
        label_ids text[] NOT NULL DEFAULT '{}',
        change_types text[] NOT NULL,
        watched text NOT NULL,
        delivery_mode smallint NOT NULL,
        provider_subscription_id text,
        client_state_digest bytea,
        previous_client_state_digest bytea,
        history_id numeric(20),
        expires_at timestamptz,
        renew_at timestamptz,
        last_notification_at timestamptz,
        last_renewed_at timestamptz,
        silence_noted_at timestamptz,
        failure_reason text NOT NULL DEFAULT '',
        failure_detail text NOT NULL DEFAULT '',
        failures integer NOT NULL DEFAULT 0,
        reconcile_reason smallint,
        lease_holder text NOT NULL DEFAULT '',
        lease_until timestamptz,
        lease_fence bigint NOT NULL DEFAULT 0,
        covered_from timestamptz NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    # 7 is SUBSCRIPTION_STATE_DELETED: a tenant has one living subscription for the same folder or labels.
    "CREATE UNIQUE INDEX subscriptions_watched ON ingest.subscriptions (tenant_id, watched) WHERE state <> 7",
    """
    CREATE INDEX subscriptions_provider_id ON ingest.subscriptions (provider_subscription_id)
    WHERE provider_subscription_id IS NOT NULL
    """,
    "CREATE INDEX subscriptions_due ON ingest.subscriptions (renew_at) WHERE renew_at IS NOT NULL",
    "CREATE INDEX subscriptions_created ON ingest.subscriptions (created_at, subscription_id)",
    """
    CREATE TABLE ingest.lifecycle_notifications (
        lifecycle_id uuid PRIMARY KEY,
        subscription_id uuid NOT NULL,
        tenant_id uuid NOT NULL,
        event text NOT NULL,
        received_at timestamptz NOT NULL,
        due_at timestamptz NOT NULL,
        correlation_id uuid NOT NULL,
        traceparent text NOT NULL DEFAULT '',
        attempts integer NOT NULL DEFAULT 0,
        lease_until timestamptz,
        failure_reason text NOT NULL DEFAULT '',
        worked_at timestamptz
    )
    """,
    """
    CREATE UNIQUE INDEX lifecycle_waiting ON ingest.lifecycle_notifications (subscription_id, event)
    WHERE worked_at IS NULL
    """,
    "CREATE INDEX lifecycle_due ON ingest.lifecycle_notifications (due_at) WHERE worked_at IS NULL",
    # How many notifications were refused with 503, by the minute.
    """
    CREATE TABLE ingest.refusals (
        minute timestamptz PRIMARY KEY,
        notifications bigint NOT NULL,
        is_answered boolean NOT NULL DEFAULT false
    )
    """,
)

TABLES = (
    "refusals",
    "lifecycle_notifications",
    "subscriptions",
    "dead_letters",
    "worked_items",
    "item_keys",
    "items",
    "mailboxes",
    "cursors",
    "tenants",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE ingest.{table}")
