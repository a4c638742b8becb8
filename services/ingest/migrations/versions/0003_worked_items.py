"""Keep of an acknowledged item what tells about its work, and no copy of the notification.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# As before, except for the content of the items that are done.
_ACK = """
CREATE OR REPLACE FUNCTION ingest.ack_items(acked uuid, under bigint, items uuid[], is_kept boolean)
RETURNS TABLE (held_fence bigint, done bigint, unsettled uuid[], is_due boolean) LANGUAGE plpgsql AS $$
DECLARE
    mailbox ingest.mailboxes;
    settled uuid[];
    compared_at timestamptz;
BEGIN
    SELECT * INTO mailbox FROM ingest.mailboxes WHERE tenant_id = acked FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    held_fence := mailbox.fence;
    done := 0;
    is_due := false;
    IF held_fence <> under THEN
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT coalesce(array_agg(item) FILTER (WHERE item = ANY(items)), '{{}}'),
        coalesce(array_agg(item) FILTER (WHERE item <> ALL(items)), '{{}}')
    INTO settled, unsettled FROM unnest(mailbox.out_item_ids) AS item;
    IF settled <> '{{}}' THEN
        WITH gone AS (
            DELETE FROM ingest.items WHERE tenant_id = acked AND item_id = ANY(settled) RETURNING *
        ), kept AS (
            INSERT INTO ingest.worked_items
                (tenant_id, item_id, kind, received_at, worked_at, outcome, attempts, content, correlation_id)
            SELECT tenant_id, item_id, kind, received_at, now(), 'done', attempts + 1, {content}, correlation_id
            FROM gone
        )
        SELECT count(*), max(received_at) FILTER (WHERE kind = 10) INTO done, compared_at FROM gone;
        IF compared_at IS NOT NULL THEN
            UPDATE ingest.mailboxes SET gap_since = NULL WHERE tenant_id = acked AND gap_since <= compared_at;
        END IF;
    END IF;
    IF mailbox.leased_at IS NOT NULL THEN
        IF is_kept OR unsettled <> '{{}}' THEN
            UPDATE ingest.mailboxes SET out_item_ids = unsettled WHERE tenant_id = acked AND settled <> '{{}}';
        ELSE
            is_due := ingest.end_lease(acked);
        END IF;
    END IF;
    RETURN NEXT;
END $$
"""


def upgrade() -> None:
    op.execute(_ACK.format(content="''::bytea"))


def downgrade() -> None:
    op.execute(_ACK.format(content="content"))
