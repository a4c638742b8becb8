"""Count a calendar of Google as pushed only while it has a channel.

An Ingest of the release before takes the subscription of a calendar for one to mail: at Google it stores the expiry of
Gmail's watch in it, and opens no channel.

Revision ID: 0009
Revises: 0008
"""

import runpy
from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_EARLIER = runpy.run_path(str(Path(__file__).with_name("0008_calendar_subscriptions.py")))
_IS_PUSHED = "'is_pushed', state = 2 AND delivery_mode <> 2 AND expires_at > now()"
_HAS_CHANNEL = f"""{_IS_PUSHED} AND (provider <> 'googlews' OR EXISTS (
                SELECT FROM ingest.channels WHERE channels.tenant_id = mailbox_id
                    AND channels.subscription_id = subscriptions.subscription_id AND channels.expires_at > now()))"""


def upgrade() -> None:
    op.execute(_claim().replace(_IS_PUSHED, _HAS_CHANNEL))


def downgrade() -> None:
    op.execute(_claim())


def _claim() -> str:
    """Return the statement that makes the function of claims as the earlier migration made it."""
    return str(_EARLIER["_claim"]()).replace(_EARLIER["_WATCHES"], _EARLIER["_ALL_WATCHES"])
