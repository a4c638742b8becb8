"""The abilities of tenants, of attempts to connect and of API keys.

Everything that exists may read mail, as before. Keys of role admin get all abilities: they manage the other keys, and
no key creates a wider one.

The way back revokes the keys that would gain rights by it: the older release lets every key read mail, and the next
upgrade gives every admin all abilities.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COLUMNS = {"tenants": "requested_abilities", "authorization_flows": "abilities", "api_keys": "abilities"}
_REVOKE_NARROWER = """
UPDATE vault.api_keys SET revoked_at = now()
WHERE revoked_at IS NULL AND '*' <> ALL (abilities) AND (role = 'admin' OR 'mail.read' <> ALL (abilities))
"""


def upgrade() -> None:
    for table, column in _COLUMNS.items():
        op.execute(f"ALTER TABLE vault.{table} ADD COLUMN {column} text[] NOT NULL DEFAULT '{{mail.read}}'")
    op.execute("UPDATE vault.api_keys SET abilities = '{*}' WHERE role = 'admin'")


def downgrade() -> None:
    op.execute(_REVOKE_NARROWER)
    for table, column in _COLUMNS.items():
        op.execute(f"ALTER TABLE vault.{table} DROP COLUMN {column}")
