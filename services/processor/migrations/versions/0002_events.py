"""Events, the keys that make each one of a kind, the stream's head and floor, replays, threads.

Revision ID: 0002
Revises: 0001
"""

import secrets

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UP = (
    # Positions are microseconds since 1970, so a range of positions is a range of time. Each publisher updates the
    # one row of `stream` last, and its lock makes positions follow the order of commits.
    """
    CREATE TABLE processor.stream (
        id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
        epoch bytea NOT NULL,
        head bigint NOT NULL DEFAULT 0,
        head_event_id uuid,
        floor bigint NOT NULL DEFAULT 0,
        floor_event_id uuid,
        floor_raised_at timestamptz NOT NULL DEFAULT now()
    ) WITH (fillfactor = 10)
    """,
    """
    CREATE TABLE processor.events (
        position bigint NOT NULL,
        event_id uuid NOT NULL,
        tenant_id uuid NOT NULL,
        provider text NOT NULL,
        event_type text NOT NULL,
        kind smallint NOT NULL,
        received_at timestamptz NOT NULL,
        replay_id uuid,
        original_event_id uuid,
        basic_size integer NOT NULL,
        body_size integer NOT NULL,
        raw_size integer NOT NULL,
        basic bytea NOT NULL,
        body bytea NOT NULL,
        raw bytea NOT NULL,
        PRIMARY KEY (position)
    ) PARTITION BY RANGE (position)
    """,
    # They are compressed before they come here, so that nothing is compressed while the stream's row is locked.
    "ALTER TABLE processor.events ALTER COLUMN basic SET STORAGE EXTERNAL",
    "ALTER TABLE processor.events ALTER COLUMN body SET STORAGE EXTERNAL",
    "ALTER TABLE processor.events ALTER COLUMN raw SET STORAGE EXTERNAL",
    "CREATE INDEX events_by_tenant ON processor.events (tenant_id, position)",
    "CREATE INDEX events_by_id ON processor.events (event_id)",
    "CREATE TABLE processor.events_rest PARTITION OF processor.events DEFAULT",
    """
    CREATE TABLE processor.event_keys (
        tenant_id uuid NOT NULL,
        digest bytea NOT NULL,
        event_id uuid NOT NULL,
        is_permanent boolean NOT NULL,
        published_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, digest)
    )
    """,
    "CREATE INDEX event_keys_by_age ON processor.event_keys (published_at) WHERE NOT is_permanent",
    """
    CREATE TABLE processor.replays (
        replay_id uuid PRIMARY KEY,
        key_id text NOT NULL,
        request_id uuid,
        request_digest bytea NOT NULL,
        start_position bigint NOT NULL,
        start_event_id uuid,
        done_position bigint NOT NULL,
        end_position bigint NOT NULL,
        matched bigint NOT NULL,
        appended bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE UNIQUE INDEX replays_by_request ON processor.replays (key_id, request_id) WHERE request_id IS NOT NULL",
    "CREATE INDEX replays_by_age ON processor.replays (created_at)",
    """
    CREATE TABLE processor.thread_messages (
        tenant_id uuid NOT NULL,
        message_id text NOT NULL,
        thread_id uuid NOT NULL,
        provider_thread_id text NOT NULL,
        reason smallint NOT NULL,
        reason_message_id text NOT NULL DEFAULT '',
        PRIMARY KEY (tenant_id, message_id)
    )
    """,
    """
    CREATE TABLE processor.thread_conversations (
        tenant_id uuid NOT NULL,
        provider_thread_id text NOT NULL,
        thread_id uuid NOT NULL,
        PRIMARY KEY (tenant_id, provider_thread_id)
    )
    """,
    # A message id that a mail has, or that a mail refers to: the second finds the thread for a parent that comes late.
    """
    CREATE TABLE processor.thread_ids (
        tenant_id uuid NOT NULL,
        digest bytea NOT NULL,
        thread_id uuid NOT NULL,
        is_own boolean NOT NULL,
        PRIMARY KEY (tenant_id, digest, thread_id)
    )
    """,
    """
    CREATE TABLE processor.thread_participants (
        tenant_id uuid NOT NULL,
        thread_id uuid NOT NULL,
        address text NOT NULL,
        has_written boolean NOT NULL,
        PRIMARY KEY (tenant_id, thread_id, address)
    )
    """,
)

_TABLES = (
    "thread_participants", "thread_ids", "thread_conversations", "thread_messages", "replays", "event_keys", "events",
    "stream",
)  # fmt: skip


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)
    op.execute(f"INSERT INTO processor.stream (epoch) VALUES ('\\x{secrets.token_hex(6)}')")  # noqa: S608 - our own digits


def downgrade() -> None:
    for table in _TABLES:
        op.execute(f"DROP TABLE processor.{table}")
