"""Erased persons: cut-offs, progress and counts, and the indexes by which rows of a tenant are read in pages.

Revision ID: 0023
Revises: 0022
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# The address itself is not in erased_persons: TokenVault names it for as long as the erasure runs.
_UP = (
    """
        CREATE TABLE processor.erased_persons (
          erasure_id uuid PRIMARY KEY,
          tenant_id uuid NOT NULL,
          removed jsonb NOT NULL DEFAULT '{}'::jsonb,
          cut_off_at timestamptz NOT NULL DEFAULT now(),
          bounds jsonb NOT NULL DEFAULT '{}'::jsonb,
          step integer NOT NULL DEFAULT 0,
          step_at timestamptz NOT NULL DEFAULT now(),
          reached text[],
          checked bigint NOT NULL DEFAULT 0,
          holder uuid,
          leased_until timestamptz,
          finished_at timestamptz
        )
    """,
    "CREATE INDEX erased_persons_tenant ON processor.erased_persons (tenant_id)",
    """
    CREATE TABLE processor.erasure_secrets (
        tenant_id uuid PRIMARY KEY,
        inner_pad bytea NOT NULL,
        outer_pad bytea NOT NULL
    )
    """,
    """
    CREATE FUNCTION processor.erased_digest(tenant uuid, given bytea) RETURNS bytea LANGUAGE sql STABLE AS $$
        SELECT sha256(outer_pad || sha256(inner_pad || given)) FROM processor.erasure_secrets WHERE tenant_id = tenant
    $$
    """,
    """
    CREATE FUNCTION processor.erased_key(tenant uuid, given text) RETURNS text LANGUAGE sql STABLE AS $$
        SELECT 'erased-' || encode(processor.erased_digest(tenant, convert_to(given, 'UTF8')), 'hex')
    $$
    """,
    # Their ids have no order in time, so a cut-off needs one.
    "ALTER TABLE processor.conversations ADD COLUMN stored_at timestamptz NOT NULL DEFAULT now()",
    "ALTER TABLE processor.conversation_messages ADD COLUMN stored_at timestamptz NOT NULL DEFAULT now()",
    "ALTER TABLE processor.thread_participants ADD COLUMN stored_at timestamptz NOT NULL DEFAULT now()",
    "CREATE INDEX conversations_of_tenant ON processor.conversations (tenant_id, conversation_id)",
    "CREATE INDEX modifications_of_tenant ON processor.modifications (tenant_id, modification_id)",
    "CREATE INDEX calendar_writes_of_tenant ON processor.calendar_writes (tenant_id, calendar_write_id)",
    "CREATE INDEX uploads_of_tenant ON processor.uploads (tenant_id, upload_id)",
    "DROP INDEX processor.uploads_by_tenant",
    "CREATE INDEX calendar_events_of_calendar ON processor.calendar_events (calendar_id, calendar_event_id)",
)
_DOWN = (
    "DROP INDEX processor.calendar_events_of_calendar",
    "CREATE INDEX uploads_by_tenant ON processor.uploads (tenant_id)",
    "DROP INDEX processor.uploads_of_tenant",
    "DROP INDEX processor.calendar_writes_of_tenant",
    "DROP INDEX processor.modifications_of_tenant",
    "DROP INDEX processor.conversations_of_tenant",
    "ALTER TABLE processor.thread_participants DROP COLUMN stored_at",
    "ALTER TABLE processor.conversation_messages DROP COLUMN stored_at",
    "ALTER TABLE processor.conversations DROP COLUMN stored_at",
    "DROP FUNCTION processor.erased_key(uuid, text)",
    "DROP FUNCTION processor.erased_digest(uuid, bytea)",
    "DROP TABLE processor.erasure_secrets",
    "DROP TABLE processor.erased_persons",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
