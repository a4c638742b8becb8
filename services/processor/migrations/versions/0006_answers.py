"""Sends that are no new mail to be sent: answers and forwards, whose recipients a worker derives, and drafts to keep.

Files that callers upload in parts and attach to sends. The pause of an account's sends is one value of its mailbox.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


_UPLOADS = (
    """
    CREATE TABLE processor.uploads (
        upload_id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL,
        name text NOT NULL,
        content_type text NOT NULL,
        size_bytes integer NOT NULL,
        received_bytes integer NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE processor.upload_parts (
        upload_id uuid NOT NULL REFERENCES processor.uploads ON DELETE CASCADE,
        start_byte integer NOT NULL,
        content bytea NOT NULL,
        PRIMARY KEY (upload_id, start_byte)
    )
    """,
    """
    CREATE TABLE processor.send_files (
        send_id uuid NOT NULL REFERENCES processor.sends ON DELETE CASCADE,
        upload_id uuid NOT NULL REFERENCES processor.uploads,
        PRIMARY KEY (send_id, upload_id)
    )
    """,
    "CREATE INDEX uploads_by_expiry ON processor.uploads (expires_at)",
    "CREATE INDEX uploads_by_tenant ON processor.uploads (tenant_id)",
    "CREATE INDEX send_files_by_upload ON processor.send_files (upload_id)",
    "ALTER TABLE processor.upload_parts ALTER COLUMN content SET STORAGE EXTERNAL",
)


def upgrade() -> None:
    for statement in _UPLOADS:
        op.execute(statement)
    op.execute("ALTER TABLE processor.sends ADD COLUMN addressed bytea NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE processor.sends ADD COLUMN is_plain boolean NOT NULL DEFAULT true")
    op.execute("ALTER TABLE processor.mailboxes ADD COLUMN sends_held_until timestamptz")


def downgrade() -> None:
    # The release before would send these rows as new mail, a draft that a person was to finish as well, and a mail
    # without its sender, its headers and its files.
    op.execute("DELETE FROM processor.sends WHERE NOT is_plain")
    op.execute("ALTER TABLE processor.mailboxes DROP COLUMN sends_held_until")
    op.execute("ALTER TABLE processor.sends DROP COLUMN is_plain")
    op.execute("ALTER TABLE processor.sends DROP COLUMN addressed")
    for table in ("send_files", "upload_parts", "uploads"):
        op.execute(f"DROP TABLE processor.{table}")
