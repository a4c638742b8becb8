"""Events of an erased tenant become tombstones: they keep their position and id, and lose everything else.

Readers' cursors name the event before them. If the rows were deleted, cursors of other tenants' readers would be
refused as those of a restored store.
"""

from services.meshkit import db
from services.processor.stream.serialization import KIND_ERASED

_BATCH = 200
_NOBODY = "00000000-0000-0000-0000-000000000000"
_BURY = """
    UPDATE processor.events SET tenant_id = $2, provider = '', event_type = '', kind = $3, basic_size = 0,
        body_size = 0, raw_size = 0, basic = '', body = '', raw = ''
    WHERE tenant_id = $1 AND position IN (SELECT position FROM processor.events WHERE tenant_id = $1 LIMIT $4)
"""


async def bury(pool: db.Pool, tenant_id: str) -> int:
    """Turn all events of a tenant into tombstones, in batches; return their number. Safe to call again.

    Args:
        pool: Connections to PostgreSQL.
        tenant_id: The tenant.
    """
    buried, count = 0, _BATCH
    while count == _BATCH:
        async with db.connection(pool) as connection:
            count = db.affected(await connection.execute(_BURY, tenant_id, _NOBODY, KIND_ERASED, _BATCH))
        buried += count
    return buried
