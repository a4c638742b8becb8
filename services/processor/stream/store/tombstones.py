"""Events of an erased tenant, or that name an erased person, become tombstones.

They keep their position and id, and lose everything else.

Readers' cursors name the event before them. If the rows were deleted, cursors of other tenants' readers would be
refused as those of a restored store.
"""

from services.processor.stream.serialization import KIND_ERASED

_BATCH = 200
_NOBODY = "00000000-0000-0000-0000-000000000000"
BURIED = {
    "tenant_id": _NOBODY,
    "provider": "",
    "event_type": "",
    "kind": KIND_ERASED,
    **dict.fromkeys(("basic_size", "body_size", "raw_size"), 0),
    **dict.fromkeys(("basic", "body", "raw"), b""),
}
"""The values of a tombstone."""
BURY = f"""
    UPDATE processor.events SET tenant_id = '{_NOBODY}', provider = '', event_type = '', kind = {KIND_ERASED},
        basic_size = 0, body_size = 0, raw_size = 0, basic = '', body = '', raw = ''
    WHERE tenant_id = $1 AND position IN (SELECT position FROM processor.events WHERE tenant_id = $1 LIMIT {_BATCH})
    RETURNING 1
"""  # noqa: S608 - constants
"""Turns a batch of the events of tenant `$1` into tombstones; returns one row for each."""
