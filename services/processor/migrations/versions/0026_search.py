"""Search: a tenant's settings with its key and place in the stream, and the indexed mails.

Revision ID: 0026
Revises: 0025
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE processor.search_settings (
        tenant_id uuid PRIMARY KEY,
        is_enabled boolean NOT NULL,
        is_clearing boolean NOT NULL,
        key bytea NOT NULL,
        position bigint NOT NULL,
        cursor text NOT NULL,
        mails bigint NOT NULL,
        tried_at timestamptz
    )
    """,
    # Digests do not compress, and most rows stay in one piece.
    """
    CREATE TABLE processor.search_mails (
        tenant_id uuid NOT NULL,
        message_id text NOT NULL,
        received_at timestamptz NOT NULL,
        position bigint NOT NULL,
        terms integer[] STORAGE EXTERNAL NOT NULL,
        PRIMARY KEY (tenant_id, message_id)
    ) WITH (toast_tuple_target = 4096)
    """,
    """
    CREATE INDEX search_mails_by_time ON processor.search_mails (tenant_id, received_at DESC, position DESC)
    """,
    "CREATE INDEX search_mails_by_position ON processor.search_mails (tenant_id, position)",
    "CREATE INDEX search_mails_by_terms ON processor.search_mails USING gin (terms)",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for name in ("mails", "settings"):
        op.execute(f"DROP TABLE processor.search_{name}")
