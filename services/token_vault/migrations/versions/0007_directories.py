"""Directories whose administrators consented for the app, and the tenants whose tokens are the app's.

A tenant's directory is its own organisation: the table refuses any other, whatever the code does.

Revision ID: 0007
Revises: 0005
"""

from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE vault.directories (
      provider text NOT NULL,
      directory_id text NOT NULL,
      allowed_addresses text[] NOT NULL,
      allows_all boolean NOT NULL,
      listed_at timestamptz NOT NULL,
      roles text[] NOT NULL,
      consented_at timestamptz NOT NULL,
      PRIMARY KEY (provider, directory_id)
    )
    """,
    "ALTER TABLE vault.tenants ADD COLUMN directory_id text",
    "ALTER TABLE vault.tenants ADD CONSTRAINT tenants_own_directory CHECK (directory_id = external_tenant_id)",
    """
    ALTER TABLE vault.tenants ADD CONSTRAINT tenants_directory
      FOREIGN KEY (provider, directory_id) REFERENCES vault.directories (provider, directory_id)
    """,
    "ALTER TABLE vault.authorization_flows ADD COLUMN directory_id text NOT NULL DEFAULT ''",
    "ALTER TABLE vault.authorization_flows ADD COLUMN allowed_addresses text[] NOT NULL DEFAULT '{}'",
    "ALTER TABLE vault.authorization_flows ADD COLUMN allows_all boolean NOT NULL DEFAULT false",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for name in ("allows_all", "allowed_addresses", "directory_id"):
        op.execute(f"ALTER TABLE vault.authorization_flows DROP COLUMN {name}")
    op.execute("ALTER TABLE vault.tenants DROP COLUMN directory_id")
    op.execute("DROP TABLE vault.directories")
