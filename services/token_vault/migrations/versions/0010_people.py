"""People who sign in at an identity provider, each with the key that stands for them.

Revision ID: 0010
Revises: 0008
"""

from alembic import op

revision = "0010"
down_revision = "0008"
branch_labels = None
depends_on = None

_PEOPLE = """
CREATE TABLE vault.people (
  person bytea PRIMARY KEY,
  api_key_id uuid NOT NULL REFERENCES vault.api_keys
)
"""


def upgrade() -> None:
    op.execute(_PEOPLE)
    op.execute("CREATE UNIQUE INDEX people_key ON vault.people (api_key_id)")


def downgrade() -> None:
    op.execute("DROP TABLE vault.people")
