"""The tenants whose stored content is sealed, and which parts of uploaded files are.

Revision ID: 0034
Revises: 0033
"""

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE processor.sealed_tenants (
            tenant_id uuid PRIMARY KEY,
            is_enabled boolean NOT NULL,
            version bigint NOT NULL,
            enabled_at timestamptz NOT NULL,
            position bigint NOT NULL,
            is_complete boolean NOT NULL,
            sealed bigint NOT NULL
        )
    """)
    op.execute("ALTER TABLE processor.upload_parts ADD COLUMN is_sealed boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    # The release before reads sealed content as damaged: refuse rather than lose it.
    op.execute("""
        DO $$ BEGIN
            IF EXISTS (SELECT FROM processor.sealed_tenants) THEN
                RAISE EXCEPTION 'content of tenants is sealed, which the release before cannot read';
            END IF;
        END $$
    """)
    op.execute("ALTER TABLE processor.upload_parts DROP COLUMN is_sealed")
    op.execute("DROP TABLE processor.sealed_tenants")
