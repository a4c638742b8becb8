"""Conversations: a tenant's settings and place in the stream, conversations, their messages and relations.

Revision ID: 0014
Revises: 0013
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE processor.conversation_settings (
        tenant_id uuid PRIMARY KEY,
        is_enabled boolean NOT NULL,
        position bigint NOT NULL,
        cursor text NOT NULL,
        content bytea NOT NULL
    )
    """,
    """
    CREATE TABLE processor.conversations (
        conversation_id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        state smallint NOT NULL,
        last_message_at timestamptz NOT NULL,
        merged_into uuid,
        is_forwarded boolean NOT NULL,
        reopenings timestamptz[] NOT NULL,
        automatic timestamptz[] NOT NULL,
        content bytea NOT NULL
    )
    """,
    """
    CREATE INDEX conversations_by_time
    ON processor.conversations (tenant_id, last_message_at DESC, conversation_id DESC)
    """,
    "CREATE INDEX conversations_by_target ON processor.conversations (merged_into) WHERE merged_into IS NOT NULL",
    """
    CREATE TABLE processor.conversation_messages (
        tenant_id uuid NOT NULL,
        message_id text NOT NULL,
        conversation_id uuid NOT NULL,
        sent_at timestamptz NOT NULL,
        own_id bytea NOT NULL,
        content bytea NOT NULL,
        PRIMARY KEY (tenant_id, message_id)
    )
    """,
    """
    CREATE INDEX conversation_messages_by_time
    ON processor.conversation_messages (conversation_id, sent_at, message_id)
    """,
    """
    CREATE TABLE processor.conversation_links (
        tenant_id uuid NOT NULL,
        digest bytea NOT NULL,
        conversation_id uuid NOT NULL,
        is_own boolean NOT NULL,
        PRIMARY KEY (tenant_id, digest, conversation_id)
    )
    """,
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    # Events of conversations (kind 7) stay: the release before skips unknown kinds, and readers' cursors rest on them.
    for name in ("links", "messages"):
        op.execute(f"DROP TABLE processor.conversation_{name}")
    op.execute("DROP TABLE processor.conversations")
    op.execute("DROP TABLE processor.conversation_settings")
