"""The bytes that callers' requests keep, counted for each tenant and each API key by the transactions that change them.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Each row costs a kibibyte besides its values: ids, keys, details, index entries.
_SIZES = {
    "sends": "1024 + octet_length({0}content) + octet_length({0}body) + octet_length({0}addressed)",
    "uploads": "1024 + {0}size_bytes",
    "modifications": "1024 + octet_length({0}content) + octet_length({0}outcomes)",
}
_TABLE = """
    CREATE TABLE processor.kept_bytes (
        holder uuid PRIMARY KEY,
        bytes bigint NOT NULL DEFAULT 0,
        upload_bytes bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50)
"""
# The holders in their order, so that two transactions never wait for each other.
_ADD = """
    INSERT INTO processor.kept_bytes AS kept (holder, bytes, upload_bytes)
    SELECT holder, sum(size), sum(upload) FROM (
        SELECT unnest(ARRAY[tenant_id, key_id]) AS holder, {size} AS size, {upload} AS upload FROM {rows}
    ) AS changed WHERE holder IS NOT NULL GROUP BY holder ORDER BY holder
    ON CONFLICT (holder) DO UPDATE
        SET bytes = kept.bytes + excluded.bytes, upload_bytes = kept.upload_bytes + excluded.upload_bytes
"""


def _added(table: str, rows: str, sign: str = "") -> str:
    upload = f"{sign}size_bytes" if table == "uploads" else "0"
    return _ADD.format(size=f"{sign}({_SIZES[table].format('')})", upload=upload, rows=rows)


def _functions(table: str) -> list[str]:
    """Return the functions of a table's triggers: for inserted, deleted and changed rows."""
    change = f"({_SIZES[table].format('NEW.')}) - ({_SIZES[table].format('OLD.')})"
    upload = "NEW.size_bytes - OLD.size_bytes" if table == "uploads" else "0"
    changed = _ADD.format(size=change, upload=upload, rows="(SELECT NEW.tenant_id, NEW.key_id) AS changed_row")
    bodies = {"add": _added(table, "added"), "remove": _added(table, "removed", "-"), "change": changed}
    return [
        f"CREATE FUNCTION processor.{name}_kept_{table}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {body}; RETURN NULL; END $$"
        for name, body in bodies.items()
    ]


def _triggers(table: str) -> list[str]:
    """Return a table's triggers. Most changes of a send are of its state: they must not touch the count."""
    size_of = _SIZES[table].format
    differs = f"({size_of('NEW.')}) <> ({size_of('OLD.')})"
    events = {
        "add": "INSERT ON processor.{} REFERENCING NEW TABLE AS added FOR EACH STATEMENT",
        "remove": "DELETE ON processor.{} REFERENCING OLD TABLE AS removed FOR EACH STATEMENT",
        "change": f"UPDATE ON processor.{{}} FOR EACH ROW WHEN ({differs})",
    }
    return [
        f"CREATE TRIGGER kept_{name} AFTER {event.format(table)} EXECUTE FUNCTION processor.{name}_kept_{table}()"
        for name, event in events.items()
    ]


def upgrade() -> None:
    op.execute(_TABLE)
    for table in _SIZES:
        op.execute(f"ALTER TABLE processor.{table} ADD COLUMN key_id uuid")
        for statement in (*_functions(table), *_triggers(table)):
            op.execute(statement)
        # The triggers hold off other writers until the commit: each row is counted once.
        op.execute(_added(table, f"processor.{table}"))


def downgrade() -> None:
    for table in _SIZES:
        for name in ("add", "remove", "change"):
            op.execute(f"DROP TRIGGER kept_{name} ON processor.{table}")
            op.execute(f"DROP FUNCTION processor.{name}_kept_{table}()")
        op.execute(f"ALTER TABLE processor.{table} DROP COLUMN key_id")
    op.execute("DROP TABLE processor.kept_bytes")
