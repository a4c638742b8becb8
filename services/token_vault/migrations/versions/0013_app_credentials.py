"""The app's own credentials at the providers, sealed; administrators of organisations; owners of shared mailboxes.

Revision ID: 0013
Revises: 0011
"""

from alembic import op

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE vault.app_credentials (
      credential_id uuid PRIMARY KEY,
      provider text NOT NULL,
      key_name text NOT NULL,
      account text NOT NULL,
      client_id text NOT NULL,
      certificate text NOT NULL,
      expires_at timestamptz,
      created_at timestamptz NOT NULL,
      data_key_id uuid NOT NULL,
      key_encryption_key_id text NOT NULL,
      wrapped bytea NOT NULL,
      private_key bytea NOT NULL,
      CONSTRAINT app_credentials_key UNIQUE (provider, key_name)
    )
    """,
    "CREATE INDEX app_credentials_wrapped_by ON vault.app_credentials (key_encryption_key_id)",
    "ALTER TABLE vault.directories ADD COLUMN administrator text NOT NULL DEFAULT ''",
    """
    ALTER TABLE vault.tenants ADD COLUMN owner_tenant_id uuid
      CONSTRAINT tenants_owner REFERENCES vault.tenants (tenant_id) ON DELETE SET NULL
    """,
    "CREATE INDEX tenants_owned ON vault.tenants (owner_tenant_id) WHERE owner_tenant_id IS NOT NULL",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE vault.tenants DROP COLUMN owner_tenant_id")
    op.execute("ALTER TABLE vault.directories DROP COLUMN administrator")
    op.execute("DROP TABLE vault.app_credentials")
