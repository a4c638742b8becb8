"""Take a lane of the stream by two statements instead of five, and judge a lane without a call for it.

Revision ID: 0044
Revises: 0040
"""

import runpy
from pathlib import Path

from alembic import op

revision = "0044"
down_revision = "0040"
branch_labels = None
depends_on = None

# A query takes this form of the function as an expression of its own, which it does not do with a subquery in it. The
# transaction that used a lane last stays in `xmax`, so that most lanes are judged by the first condition alone. `age`
# counts from one transaction id for a whole transaction and is the largest number for no transaction.
_IS_UNDER_WAY = """
CREATE OR REPLACE FUNCTION processor.is_under_way(writer xid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT age(writer) <= age(pg_snapshot_xmin(pg_current_snapshot())::xid) AND NOT pg_visible_in_snapshot(
        (pg_snapshot_xmax(pg_current_snapshot())::text::bigint
            + age(pg_snapshot_xmax(pg_current_snapshot())::xid) - age(writer))::text::xid8,
        pg_current_snapshot())
$$
"""
# By the estimate of one row PostgreSQL decides that the statement around a call need not be planned each time.
_TAKE_POSITIONS = """
CREATE OR REPLACE FUNCTION processor.take_positions(events integer, last_event uuid)
RETURNS TABLE (base bigint, last bigint, epoch bytea, is_alone boolean) LANGUAGE plpgsql ROWS 1 AS $$
DECLARE
    taken smallint;
    writer bigint;
BEGIN
    IF events = 0 THEN
        RETURN;
    END IF;
    SELECT s.id INTO taken FROM processor.stream AS s ORDER BY s.id LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF taken IS NULL THEN
        SELECT s.id INTO taken FROM processor.stream AS s ORDER BY (s.id + pg_backend_pid()) % 16, s.id LIMIT 1
        FOR UPDATE;
    END IF;
    -- A statement of its own, so that it sees each commit before the lane was taken. The numbers of a lane have the
    -- same rest of 16, so that no two lanes take the same position. A notification makes commits wait for each other.
    -- A reader that one has woken reads on while publishers are under way, so those that take their lanes meanwhile
    -- need none. Of two that begin together the older one notifies.
    UPDATE processor.stream AS s SET head = lanes.ahead - lanes.ahead % 16 + taken - 1 + 16 * events,
        head_event_id = last_event
    FROM (
        SELECT greatest(max(lane.head), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS ahead,
            (array_agg(lane.epoch) FILTER (WHERE lane.id = 1))[1] AS epoch,
            count(*) FILTER (WHERE lane.id <> taken AND age(lane.xmax) > age(pg_current_xact_id()::xid)
                AND processor.is_under_way(lane.xmax)) = 0 AS is_alone
        FROM processor.stream AS lane
    ) AS lanes
    WHERE s.id = taken
    RETURNING s.head - 16 * events, s.head, lanes.epoch, lanes.is_alone, s.xmin::text::bigint
    INTO base, last, epoch, is_alone, writer;
    -- Readers recognise the lane of a publisher under way by its transaction, and a snapshot does not list savepoints.
    IF writer <> pg_current_xact_id()::text::bigint & 4294967295 THEN
        RAISE EXCEPTION 'events are not published within a savepoint';
    END IF;
    RETURN NEXT;
END $$
"""


def upgrade() -> None:
    op.execute(_IS_UNDER_WAY)
    op.execute(_TAKE_POSITIONS)


def downgrade() -> None:
    earlier = runpy.run_path(str(Path(__file__).with_name("0033_lanes.py")))
    for name in ("_IS_UNDER_WAY", "_TAKE_POSITIONS"):
        op.execute(str(earlier[name]).replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
