"""The sessions of browsers: the digest of each cookie, the key that it stands for, and its ends.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SESSIONS = """
CREATE TABLE vault.sessions (
  session_id uuid PRIMARY KEY,
  digest bytea NOT NULL,
  api_key_id uuid NOT NULL REFERENCES vault.api_keys,
  created_at timestamptz NOT NULL,
  last_used_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  CONSTRAINT sessions_digest UNIQUE (digest)
)
"""


def upgrade() -> None:
    op.execute(_SESSIONS)
    op.execute("CREATE INDEX sessions_of_key ON vault.sessions (api_key_id)")
    op.execute("CREATE INDEX sessions_age ON vault.sessions (expires_at)")


def downgrade() -> None:
    op.execute("DROP TABLE vault.sessions")
