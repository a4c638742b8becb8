"""Runs of workflows, their checkpoints, their notices, and the places of filters in the event stream.

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
    CREATE TABLE workflows.runs (
        tenant_id uuid NOT NULL,
        run_id uuid NOT NULL,
        workflow text NOT NULL,
        event_id uuid NOT NULL,
        state smallint NOT NULL,
        reason text NOT NULL DEFAULT '',
        detail text NOT NULL DEFAULT '',
        attempts integer NOT NULL DEFAULT 0,
        question_id text NOT NULL DEFAULT '',
        sealed_question bytea,
        sealed_answer bytea,
        revision bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        due_at timestamptz NOT NULL,
        deadline_at timestamptz NOT NULL,
        finished_at timestamptz,
        lease_id uuid,
        leased_until timestamptz,
        PRIMARY KEY (tenant_id, run_id),
        UNIQUE (tenant_id, workflow, event_id)
    )
    """,
    """
    CREATE TABLE workflows.checkpoints (
        tenant_id uuid NOT NULL,
        run_id uuid NOT NULL,
        namespace text NOT NULL,
        checkpoint_id text NOT NULL,
        parent_id text NOT NULL,
        sealed bytea NOT NULL,
        PRIMARY KEY (tenant_id, run_id, namespace, checkpoint_id),
        FOREIGN KEY (tenant_id, run_id) REFERENCES workflows.runs ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE workflows.writes (
        tenant_id uuid NOT NULL,
        run_id uuid NOT NULL,
        namespace text NOT NULL,
        checkpoint_id text NOT NULL,
        task_id text NOT NULL,
        place integer NOT NULL,
        task_path text NOT NULL,
        channel text NOT NULL,
        sealed bytea NOT NULL,
        PRIMARY KEY (tenant_id, run_id, namespace, checkpoint_id, task_id, place),
        FOREIGN KEY (tenant_id, run_id) REFERENCES workflows.runs ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE workflows.notices (
        tenant_id uuid NOT NULL,
        notice_id uuid NOT NULL,
        sequence bigint GENERATED ALWAYS AS IDENTITY,
        content bytea NOT NULL,
        PRIMARY KEY (tenant_id, notice_id)
    )
    """,
    # One row for each workflow with a filter: the position up to which events have started runs.
    "CREATE TABLE workflows.positions (workflow text PRIMARY KEY, position text NOT NULL)",
    # The mark of a tenant that is erased, and the removed rows by table. It outlasts the erasure, as its proof does.
    """
    CREATE TABLE workflows.erased_tenants (
        tenant_id uuid PRIMARY KEY,
        begun_at timestamptz NOT NULL DEFAULT now(),
        removed jsonb NOT NULL DEFAULT '{}'::jsonb
    )
    """,
    "CREATE INDEX runs_by_due ON workflows.runs (due_at) WHERE state IN (1, 2)",
    "CREATE INDEX runs_by_deadline ON workflows.runs (deadline_at) WHERE finished_at IS NULL",
    "CREATE INDEX runs_by_end ON workflows.runs (finished_at) WHERE finished_at IS NOT NULL",
    "CREATE INDEX runs_by_id ON workflows.runs (run_id)",
    "CREATE INDEX notices_by_sequence ON workflows.notices (sequence)",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for table in ("erased_tenants", "positions", "notices", "writes", "checkpoints", "runs"):
        op.execute(f"DROP TABLE workflows.{table}")
