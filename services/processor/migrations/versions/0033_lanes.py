"""Lanes of the stream: publishers that do not wait for each other.

Revision ID: 0033
Revises: 0031
"""

from alembic import op

revision = "0033"
down_revision = "0031"
branch_labels = None
depends_on = None

_TAKE_POSITIONS = """
CREATE FUNCTION processor.take_positions(events integer, last_event uuid)
RETURNS TABLE (base bigint, last bigint, epoch bytea, is_alone boolean) LANGUAGE plpgsql AS $$
DECLARE
    taken smallint;
    ahead bigint;
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
    -- A statement of its own, so that it sees each commit before the lane was taken.
    SELECT greatest(max(s.head), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) INTO ahead
    FROM processor.stream AS s;
    -- The numbers of a lane have the same rest of 16, so that no two lanes take the same position.
    base := ahead - ahead % 16 + taken - 1;
    last := base + 16 * events;
    UPDATE processor.stream AS s SET head = last, head_event_id = last_event WHERE s.id = taken
    RETURNING s.xmin::text::bigint INTO writer;
    -- Readers recognise the lane of a publisher under way by its transaction, and a snapshot does not list savepoints.
    IF writer <> pg_current_xact_id()::text::bigint & 4294967295 THEN
        RAISE EXCEPTION 'events are not published within a savepoint';
    END IF;
    -- A notification makes commits wait for each other. A reader that one has woken reads on while publishers are under
    -- way, so those that take their lanes meanwhile need none. Of two that begin together the older one notifies.
    SELECT NOT EXISTS (
        SELECT FROM processor.stream AS s
        WHERE s.id <> taken AND processor.is_under_way(s.xmax) AND age(s.xmax) > age(pg_current_xact_id()::xid)
    ) INTO is_alone;
    SELECT s.epoch INTO epoch FROM processor.stream AS s WHERE s.id = 1;
    RETURN NEXT;
END $$
"""
# A transaction id of 32 bits is completed by the bits of the newest one, from which it is at most 2^31 away.
_IS_UNDER_WAY = """
CREATE FUNCTION processor.is_under_way(writer xid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT writer <> '0'::xid AND NOT pg_visible_in_snapshot(
        (newest + (writer::text::bigint - newest % 4294967296 + 6442450944) % 4294967296 - 2147483648)::text::xid8,
        pg_current_snapshot())
    FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint) AS snapshot (newest)
$$
"""
_UP = (
    "ALTER TABLE processor.stream DROP CONSTRAINT stream_id_check",
    "ALTER TABLE processor.stream ADD CONSTRAINT stream_id_check CHECK (id BETWEEN 1 AND 16)",
    _IS_UNDER_WAY,
    _TAKE_POSITIONS,
    # A stream with events may still have publishers of the release before, which know one lane. An operator adds lanes
    # when they are gone.
    """
    INSERT INTO processor.stream (id, epoch) SELECT lane, epoch FROM processor.stream, generate_series(2, 16) AS lane
    WHERE head = 0 AND floor = 0
    """,
)
_DOWN = (
    """
    UPDATE processor.stream SET head = newest.head, head_event_id = newest.head_event_id
    FROM (SELECT head, head_event_id FROM processor.stream ORDER BY head DESC LIMIT 1) AS newest WHERE id = 1
    """,
    "DELETE FROM processor.stream WHERE id > 1",
    "ALTER TABLE processor.stream DROP CONSTRAINT stream_id_check",
    "ALTER TABLE processor.stream ADD CONSTRAINT stream_id_check CHECK (id = 1)",
    "DROP FUNCTION processor.is_under_way(xid)",
    "DROP FUNCTION processor.take_positions(integer, uuid)",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
