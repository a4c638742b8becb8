"""Endpoints, the events that wait to be delivered to them, and the attempts.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE delivery.endpoints (
        endpoint_id uuid PRIMARY KEY,
        display_name text NOT NULL,
        url text NOT NULL,
        tenant_ids uuid[] NOT NULL,
        providers text[] NOT NULL,
        event_types text[] NOT NULL,
        view smallint NOT NULL,
        header_names text[] NOT NULL,
        sealed_headers bytea NOT NULL,
        timeout_ms integer NOT NULL,
        concurrency integer NOT NULL,
        signature smallint NOT NULL,
        sealed_keys bytea NOT NULL,
        public_key text NOT NULL,
        sealed_by text NOT NULL,
        created_by text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        deleted_at timestamptz,
        state smallint NOT NULL,
        reason text NOT NULL DEFAULT '',
        failures integer NOT NULL DEFAULT 0,
        failing_since timestamptz,
        succeeded_at timestamptz,
        throttled_until timestamptz,
        position text NOT NULL,
        revision bigint NOT NULL DEFAULT 0,
        lease_id uuid,
        leased_until timestamptz
    )
    """,
    """
    CREATE TABLE delivery.deliveries (
        endpoint_id uuid NOT NULL,
        event_id uuid NOT NULL,
        tenant_id uuid NOT NULL,
        sequence bigint GENERATED ALWAYS AS IDENTITY,
        event_type text NOT NULL,
        order_key text NOT NULL,
        body bytea NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        due_at timestamptz,
        failed_at timestamptz,
        exhausted_at timestamptz,
        PRIMARY KEY (endpoint_id, event_id)
    )
    """,
    """
    CREATE TABLE delivery.attempts (
        attempt_id uuid PRIMARY KEY,
        endpoint_id uuid NOT NULL,
        event_id uuid NOT NULL,
        tenant_id uuid NOT NULL,
        event_type text NOT NULL,
        number integer NOT NULL,
        started_at timestamptz NOT NULL,
        duration_ms integer NOT NULL,
        is_delivered boolean NOT NULL,
        status integer NOT NULL,
        reason text NOT NULL,
        answer bytea NOT NULL,
        next_attempt_at timestamptz
    )
    """,
    "CREATE INDEX endpoints_by_lease ON delivery.endpoints (leased_until) WHERE deleted_at IS NULL",
    "CREATE INDEX endpoints_by_end ON delivery.endpoints (deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX deliveries_by_due ON delivery.deliveries (endpoint_id, due_at, sequence) WHERE due_at IS NOT NULL",
    "CREATE INDEX deliveries_by_key ON delivery.deliveries (endpoint_id, order_key, sequence) WHERE due_at IS NOT NULL",
    "CREATE INDEX deliveries_by_end ON delivery.deliveries (exhausted_at) WHERE exhausted_at IS NOT NULL",
    "CREATE INDEX attempts_by_endpoint ON delivery.attempts (endpoint_id, attempt_id)",
    "CREATE INDEX attempts_by_event ON delivery.attempts (endpoint_id, event_id, attempt_id)",
    "CREATE INDEX attempts_by_start ON delivery.attempts (started_at)",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for table in ("attempts", "deliveries", "endpoints"):
        op.execute(f"DROP TABLE delivery.{table}")
