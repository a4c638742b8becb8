"""The keys of tenants' stored content, each wrapped by a key-encryption key.

Revision ID: 0017
Revises: 0016
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE vault.content_keys (
          tenant_id uuid PRIMARY KEY REFERENCES vault.tenants (tenant_id),
          data_key_id uuid NOT NULL,
          key_encryption_key_id text NOT NULL,
          wrapped bytea NOT NULL
        )
    """)
    op.execute("CREATE INDEX content_keys_wrapped_by ON vault.content_keys (key_encryption_key_id)")


def downgrade() -> None:
    # Without the keys nothing opens what they have sealed: refuse rather than lose it.
    op.execute("""
        DO $$ BEGIN
          IF EXISTS (SELECT FROM vault.content_keys) THEN
            RAISE EXCEPTION 'content is sealed by keys that the release before does not know';
          END IF;
        END $$
    """)
    op.execute("DROP TABLE vault.content_keys")
