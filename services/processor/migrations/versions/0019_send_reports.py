"""Bounces and complaints about sends, those that wait for a send, and an index that finds a send by its Message-ID.

Revision ID: 0019
Revises: 0017
"""

from alembic import op

revision = "0019"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE processor.send_reports (
          send_id uuid NOT NULL REFERENCES processor.sends ON DELETE CASCADE,
          recipient text NOT NULL,
          is_complaint boolean NOT NULL,
          tenant_id uuid NOT NULL,
          bounce smallint NOT NULL,
          status text NOT NULL,
          diagnostic text NOT NULL,
          reported_at timestamptz NOT NULL,
          report_message_id text NOT NULL,
          PRIMARY KEY (tenant_id, send_id, recipient, is_complaint)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE processor.waiting_reports (
          tenant_id uuid NOT NULL,
          internet_message_id text NOT NULL,
          report_message_id text NOT NULL,
          report bytea NOT NULL,
          reported_at timestamptz NOT NULL,
          PRIMARY KEY (tenant_id, internet_message_id, report_message_id)
        )
        """
    )
    op.execute("CREATE INDEX waiting_reports_by_time ON processor.waiting_reports (reported_at)")
    op.execute("CREATE INDEX send_reports_by_send ON processor.send_reports (send_id)")
    op.execute(
        "CREATE INDEX sends_by_internet_id ON processor.sends (tenant_id, internet_message_id)"
        " WHERE internet_message_id <> ''"
    )


def downgrade() -> None:
    op.execute("DROP INDEX processor.sends_by_internet_id")
    op.execute("DROP TABLE processor.waiting_reports")
    op.execute("DROP TABLE processor.send_reports")
