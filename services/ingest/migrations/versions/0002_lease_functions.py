"""Functions that claim mailboxes and acknowledge items, each in one round trip.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# FOR UPDATE waits for writers that are adding items; each statement of a function sees what was committed before it.
_END_LEASE = """
CREATE FUNCTION ingest.end_lease(ended uuid) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    due timestamptz;
BEGIN
    UPDATE ingest.mailboxes SET lease_until = NULL, holder = '', leased_at = NULL, out_item_ids = '{}',
        next_due_at = now()
    WHERE tenant_id = ended AND EXISTS (SELECT FROM ingest.items WHERE tenant_id = ended AND due_at IS NULL);
    IF FOUND THEN
        RETURN true;
    END IF;
    PERFORM 1 FROM ingest.mailboxes WHERE tenant_id = ended FOR UPDATE;
    IF EXISTS (SELECT FROM ingest.items WHERE tenant_id = ended AND due_at IS NULL) THEN
        due := now();
    ELSE
        SELECT min(due_at) INTO due FROM ingest.items WHERE tenant_id = ended AND due_at IS NOT NULL;
    END IF;
    UPDATE ingest.mailboxes SET lease_until = NULL, holder = '', leased_at = NULL, out_item_ids = '{}',
        next_due_at = due
    WHERE tenant_id = ended;
    RETURN coalesce(due <= now(), false);
END $$
"""

# The items of a lease are settled in one statement, the lease itself in the next.
_ACK = """
CREATE FUNCTION ingest.ack_items(acked uuid, under bigint, items uuid[], is_kept boolean)
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
    SELECT coalesce(array_agg(item) FILTER (WHERE item = ANY(items)), '{}'),
        coalesce(array_agg(item) FILTER (WHERE item <> ALL(items)), '{}')
    INTO settled, unsettled FROM unnest(mailbox.out_item_ids) AS item;
    IF settled <> '{}' THEN
        WITH gone AS (
            DELETE FROM ingest.items WHERE tenant_id = acked AND item_id = ANY(settled) RETURNING *
        ), kept AS (
            INSERT INTO ingest.worked_items
                (tenant_id, item_id, kind, received_at, worked_at, outcome, attempts, content, correlation_id)
            SELECT tenant_id, item_id, kind, received_at, now(), 'done', attempts + 1, content, correlation_id FROM gone
        )
        SELECT count(*), max(received_at) FILTER (WHERE kind = 10) INTO done, compared_at FROM gone;
        IF compared_at IS NOT NULL THEN
            UPDATE ingest.mailboxes SET gap_since = NULL WHERE tenant_id = acked AND gap_since <= compared_at;
        END IF;
    END IF;
    IF mailbox.leased_at IS NOT NULL THEN
        IF is_kept OR unsettled <> '{}' THEN
            UPDATE ingest.mailboxes SET out_item_ids = unsettled WHERE tenant_id = acked AND settled <> '{}';
        ELSE
            is_due := ingest.end_lease(acked);
        END IF;
    END IF;
    RETURN NEXT;
END $$
"""

# A mailbox whose lease expired over items is only named: its attempts are counted first.
_CLAIM = """
CREATE FUNCTION ingest.claim_mailboxes(
    worker text, most_tenants integer, most_items integer, lasting interval, asked uuid, is_idle_leased boolean,
    alone_after integer
) RETURNS TABLE (
    mailbox_id uuid, next_fence bigint, until timestamptz, is_expired boolean, has_more boolean,
    item_ids uuid[], kinds smallint[], received timestamptz[], contents bytea[], correlations uuid[], parents text[],
    attempted integer[], provider_name text, directory_id text, user_name text, watches text
) LANGUAGE plpgsql AS $$
DECLARE
    locked uuid[];
    expired boolean[];
    share integer;
BEGIN
    until := now() + lasting;
    IF asked IS NULL THEN
        SELECT array_agg(tenant_id), array_agg(is_out) INTO locked, expired FROM (
            SELECT tenant_id, out_item_ids <> '{}' AS is_out FROM ingest.mailboxes
            WHERE next_due_at <= now() AND NOT is_waiting AND (lease_until IS NULL OR lease_until <= now())
            ORDER BY next_due_at LIMIT most_tenants FOR NO KEY UPDATE SKIP LOCKED
        ) AS due;
    ELSE
        SELECT array_agg(tenant_id), array_agg(is_out) INTO locked, expired FROM (
            SELECT tenant_id, out_item_ids <> '{}' AS is_out FROM ingest.mailboxes
            WHERE tenant_id = asked AND NOT is_waiting AND (lease_until IS NULL OR lease_until <= now())
                AND (is_idle_leased OR next_due_at <= now())
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS due;
    END IF;
    share := greatest(1, most_items / coalesce(cardinality(locked), 1));
    FOR place IN 1 .. coalesce(cardinality(locked), 0) LOOP
        mailbox_id := locked[place];
        is_expired := expired[place];
        IF is_expired THEN
            item_ids := '{}';
            RETURN NEXT;
            CONTINUE;
        END IF;
        SELECT coalesce(array_agg(item_id) FILTER (WHERE is_given), '{}'), array_agg(kind) FILTER (WHERE is_given),
            array_agg(received_at) FILTER (WHERE is_given), array_agg(content) FILTER (WHERE is_given),
            array_agg(correlation_id) FILTER (WHERE is_given), array_agg(traceparent) FILTER (WHERE is_given),
            array_agg(attempts + 1) FILTER (WHERE is_given), coalesce(bool_or(NOT is_given), false)
        INTO item_ids, kinds, received, contents, correlations, parents, attempted, has_more
        FROM (
            SELECT due.*, number <= share AND (number = 1 OR alone = 0) AS is_given FROM (
                SELECT found.*, row_number() OVER turn AS number,
                    count(*) FILTER (WHERE expiries >= alone_after) OVER turn AS alone
                FROM (
                    (SELECT * FROM ingest.items WHERE tenant_id = mailbox_id AND due_at IS NULL
                        ORDER BY item_id LIMIT share + 1)
                    UNION ALL
                    (SELECT * FROM ingest.items WHERE tenant_id = mailbox_id AND due_at <= now()
                        ORDER BY due_at LIMIT share + 1)
                ) AS found WINDOW turn AS (ORDER BY item_id)
            ) AS due WHERE number <= share + 1 ORDER BY item_id
        ) AS judged;
        IF item_ids = '{}' AND NOT is_idle_leased THEN
            PERFORM 1 FROM ingest.mailboxes WHERE tenant_id = mailbox_id FOR UPDATE SKIP LOCKED;
            IF FOUND THEN
                PERFORM ingest.end_lease(mailbox_id);
            ELSE
                UPDATE ingest.mailboxes SET lease_until = NULL, holder = '', leased_at = NULL, next_due_at = now()
                WHERE tenant_id = mailbox_id;
            END IF;
            CONTINUE;
        END IF;
        UPDATE ingest.mailboxes SET fence = fence + 1, holder = worker,
            leased_at = now(), lease_until = until, next_due_at = until, out_item_ids = item_ids
        WHERE tenant_id = mailbox_id RETURNING fence INTO next_fence;
        SELECT provider, external_tenant_id, user_id INTO provider_name, directory_id, user_name
        FROM ingest.tenants WHERE tenant_id = mailbox_id;
        -- 6 and 7 are SUBSCRIPTION_STATE_DELETING and SUBSCRIPTION_STATE_DELETED.
        SELECT coalesce(json_agg(json_build_object(
            'subscription_id', subscription_id, 'folder_id', folder_id, 'label_ids', label_ids,
            'change_types', change_types, 'covered_from', (extract(epoch FROM covered_from) * 1e6)::bigint,
            'delivery_mode', delivery_mode) ORDER BY created_at, subscription_id), '[]')::text INTO watches
        FROM ingest.subscriptions WHERE tenant_id = mailbox_id AND state NOT IN (6, 7);
        RETURN NEXT;
    END LOOP;
END $$
"""


def upgrade() -> None:
    for statement in (_END_LEASE, _ACK, _CLAIM):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP FUNCTION ingest.claim_mailboxes(text, integer, integer, interval, uuid, boolean, integer)")
    op.execute("DROP FUNCTION ingest.ack_items(uuid, bigint, uuid[], boolean)")
    op.execute("DROP FUNCTION ingest.end_lease(uuid)")
