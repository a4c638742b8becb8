"""Requests of callers that were erased with a person's address: what stays of them, so that none is submitted twice.

A request is found by its idempotency key, and its digest tells whether a repeated key has the same content. Both may
describe the person, so an erased request keeps their HMAC-SHA-256 (RFC 2104) under a random key of the tenant, which
only the database has. The key's two pads are stored, since SQL then needs nothing but SHA-256: a request is looked up
by its key and by the digest of its key in one statement, which no erasure can come between.
"""

import secrets

from services.meshkit import db

REASON = "PERSON_ERASED"
DETAIL = "The request was erased with a person's address; its idempotency key submits nothing again."
BY_KEY = "idempotency_key IN ($2, processor.erased_key($1, $2))"
"""The condition of the key `$2` of tenant `$1`, erased or not."""
IS_SAME = "digest IN ($3, processor.erased_digest($1, $3)) AS is_same"
"""Whether the digest of a request of tenant `$1` is `$3`, erased or not."""
_BLOCK_BYTES, _INNER, _OUTER = 64, 0x36, 0x5C
_ADD_PADS = """
    INSERT INTO processor.erasure_secrets (tenant_id, inner_pad, outer_pad) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""
_PROTECT = """
    UPDATE processor.{table} SET idempotency_key = processor.erased_key(tenant_id, idempotency_key),
        digest = processor.erased_digest(tenant_id, digest)
    WHERE {key} = $1 AND idempotency_key !~ '^erased-[0-9a-f]{{64}}$'
"""


async def make_secret(connection: db.Connection, tenant_id: str) -> None:
    """Make a tenant's random key, for `processor.erased_digest`. Safe to call again: a tenant that has one keeps it."""
    block = secrets.token_bytes(32).ljust(_BLOCK_BYTES, b"\0")
    pads = [bytes(byte ^ mask for byte in block) for mask in (_INNER, _OUTER)]
    await connection.execute(_ADD_PADS, tenant_id, *pads)


async def protect(connection: db.Connection, table: str, key: str, row_id: str) -> None:
    """Replace a request's idempotency key and digest by keyed digests. Safe to call again.

    Args:
        connection: In the transaction that erases the request.
        table: The request's table, one of our own.
        key: The name of its primary key.
        row_id: The request's UUID.
    """
    tenant_id = await connection.fetchval(
        f"SELECT tenant_id::text FROM processor.{table} WHERE {key} = $1",  # noqa: S608 - our own names
        row_id,
    )
    await make_secret(connection, tenant_id)
    await connection.execute(_PROTECT.format(table=table, key=key), row_id)
