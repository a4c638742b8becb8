"""Writes to calendars: the changes that callers asked for, their progress and their outcome.

Revision ID: 0017
Revises: 0016
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE processor.calendar_writes (
        calendar_write_id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        calendar_id uuid NOT NULL,
        provider_calendar_id text NOT NULL,
        idempotency_key text NOT NULL,
        digest bytea NOT NULL,
        provider text NOT NULL,
        kind smallint NOT NULL,
        content bytea NOT NULL,
        state smallint NOT NULL,
        reason text NOT NULL DEFAULT '',
        detail text NOT NULL DEFAULT '',
        correlation_id text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        due_at timestamptz,
        deadline_at timestamptz NOT NULL,
        finished_at timestamptz,
        attempts integer NOT NULL DEFAULT 0,
        submitted_at timestamptz,
        submissions integer NOT NULL DEFAULT 0,
        calendar_event_id uuid,
        provider_event_id text NOT NULL DEFAULT '',
        version_before text NOT NULL DEFAULT '',
        version text NOT NULL DEFAULT '',
        meeting bytea NOT NULL DEFAULT ''::bytea,
        resolutions integer NOT NULL DEFAULT 0,
        is_resolved boolean NOT NULL DEFAULT false,
        key_id uuid
    )
    """,
    "CREATE UNIQUE INDEX calendar_writes_by_key ON processor.calendar_writes (tenant_id, idempotency_key)",
    "CREATE INDEX calendar_writes_by_due ON processor.calendar_writes (due_at) WHERE due_at IS NOT NULL",
    """
    CREATE INDEX calendar_writes_by_due_of_tenant ON processor.calendar_writes (tenant_id, due_at)
    WHERE due_at IS NOT NULL
    """,
    "CREATE INDEX calendar_writes_by_end ON processor.calendar_writes (finished_at) WHERE finished_at IS NOT NULL",
    """
    CREATE INDEX calendar_writes_by_event ON processor.calendar_writes (calendar_event_id)
    WHERE calendar_event_id IS NOT NULL
    """,
)
# The bytes of requests are counted as those of 0009: each row costs a kibibyte besides its values.
_SIZE = "1024 + octet_length({0}content)"
_ADD = """
    INSERT INTO processor.kept_bytes AS kept (holder, bytes)
    SELECT holder, sum(size) FROM (
        SELECT unnest(ARRAY[tenant_id, key_id]) AS holder, {sign}({size}) AS size FROM {rows}
    ) AS changed WHERE holder IS NOT NULL GROUP BY holder ORDER BY holder
    ON CONFLICT (holder) DO UPDATE SET bytes = kept.bytes + excluded.bytes
"""
_TRIGGERS = {
    "add": ("INSERT", "NEW TABLE AS added", _ADD.format(sign="", size=_SIZE.format(""), rows="added")),
    "remove": ("DELETE", "OLD TABLE AS removed", _ADD.format(sign="-", size=_SIZE.format(""), rows="removed")),
}


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)
    for name, (event, table, body) in _TRIGGERS.items():
        function = f"processor.{name}_kept_calendar_writes()"
        op.execute(
            f"CREATE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER kept_{name} AFTER {event} ON processor.calendar_writes REFERENCING {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {function}"
        )


def downgrade() -> None:
    # The release before counts no writes: their bytes leave the counts with their rows.
    op.execute("DELETE FROM processor.calendar_writes")
    op.execute("DROP TABLE processor.calendar_writes")
    for name in _TRIGGERS:
        op.execute(f"DROP FUNCTION processor.{name}_kept_calendar_writes()")
