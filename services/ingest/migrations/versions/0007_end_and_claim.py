"""A function that ends leases and claims mailboxes in one transaction and one round trip.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Mailboxes are locked in the order in which the writer of the inbox locks them, which rules out a deadlock with it. The
# claim waits for no lock. Each statement sees the leases that ended before it, so a mailbox with further items is due.
_END_AND_CLAIM = """
CREATE FUNCTION ingest.end_and_claim(
    worker text, most_tenants integer, most_items integer, lasting interval, asked uuid, is_idle_leased boolean,
    alone_after integer, ended uuid[], under bigint[], items text[]
) RETURNS TABLE (
    place bigint, held_fence bigint, done bigint, unsettled uuid[],
    mailbox_id uuid, next_fence bigint, until timestamptz, is_expired boolean, has_more boolean,
    item_ids uuid[], kinds smallint[], received timestamptz[], contents bytea[], correlations uuid[], parents text[],
    attempted integer[], provider_name text, directory_id text, user_name text, watches text
) LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT tenant, fence, list::uuid[] AS list, number
        FROM unnest(ended, under, items) WITH ORDINALITY AS asked_for (tenant, fence, list, number) ORDER BY tenant
    LOOP
        mailbox_id := one.tenant;
        place := one.number;
        held_fence := NULL;
        SELECT acked.held_fence, acked.done, acked.unsettled INTO held_fence, done, unsettled
        FROM ingest.ack_items(one.tenant, one.fence, one.list, false) AS acked;
        RETURN NEXT;
    END LOOP;
    RETURN QUERY SELECT NULL::bigint, NULL::bigint, NULL::bigint, NULL::uuid[], claimed.*
    FROM ingest.claim_mailboxes(worker, most_tenants, most_items, lasting, asked, is_idle_leased, alone_after)
        AS claimed;
END $$
"""


def upgrade() -> None:
    op.execute(_END_AND_CLAIM)


def downgrade() -> None:
    op.execute(
        "DROP FUNCTION ingest.end_and_claim(text, integer, integer, interval, uuid, boolean, integer, uuid[], bigint[],"
        " text[])"
    )
