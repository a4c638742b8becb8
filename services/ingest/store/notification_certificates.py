"""The certificates for whose keys Graph encrypts resource data. The newest is given to subscriptions."""

from dataclasses import dataclass, field
from datetime import datetime

from services.meshkit import db

_COLUMNS = "certificate_id::text, certificate, sealed_key, sealed_by, created_at, expires_at"
_NEWEST = f"SELECT {_COLUMNS} FROM ingest.notification_certificates WHERE superseded_at IS NULL"  # noqa: S608
_GET = f"SELECT {_COLUMNS} FROM ingest.notification_certificates WHERE certificate_id = $1"  # noqa: S608
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('notification certificates', 0))"
_SUPERSEDE = "UPDATE ingest.notification_certificates SET superseded_at = $1 WHERE superseded_at IS NULL"
_INSERT = """
INSERT INTO ingest.notification_certificates
    (certificate_id, certificate, sealed_key, sealed_by, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_IN_USE = """
EXISTS (
    SELECT FROM ingest.subscriptions
    WHERE subscriptions.certificate_id = notification_certificates.certificate_id AND expires_at > $1
)
"""
_DROP = f"""
DELETE FROM ingest.notification_certificates
WHERE superseded_at <= $2 AND NOT {_IN_USE}
"""  # noqa: S608 - constants of this module
_SOONEST = f"""
SELECT min(expires_at) FROM ingest.notification_certificates WHERE superseded_at IS NULL OR {_IN_USE}
"""  # noqa: S608 - constants of this module


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """One certificate.

    Args:
        certificate_id: Our id, which each notification repeats.
        certificate: X.509 in DER, with the public key.
        sealed_key: The private key, PKCS #8 in DER, sealed.
        sealed_by: The id of the key that sealed it.
        created_at: When it was made.
        expires_at: When it ends.
    """

    certificate_id: str
    certificate: bytes
    sealed_key: bytes = field(repr=False)
    sealed_by: str
    created_at: datetime
    expires_at: datetime


async def newest(connection: db.Connection) -> CertificateRow | None:
    """Return the certificate that subscriptions are given, or None before the first."""
    return _row(await connection.fetchrow(_NEWEST))


async def get(connection: db.Connection, certificate_id: str) -> CertificateRow | None:
    """Return a certificate by its id, a UUID, as long as it is kept."""
    return _row(await connection.fetchrow(_GET, certificate_id))


async def lock(connection: db.Connection) -> None:
    """Wait until no other process replaces the newest certificate, until the transaction ends."""
    await connection.execute(_LOCK)


async def replace(connection: db.Connection, made: CertificateRow) -> None:
    """Store a certificate as the newest, under the lock."""
    await connection.execute(_SUPERSEDE, made.created_at)
    await connection.execute(
        _INSERT,
        made.certificate_id,
        made.certificate,
        made.sealed_key,
        made.sealed_by,
        made.created_at,
        made.expires_at,
    )


async def drop_ended(connection: db.Connection, *, used_since: datetime, superseded_before: datetime) -> int:
    """Delete superseded certificates that no notification can name any more.

    Args:
        connection: A connection to PostgreSQL.
        used_since: A subscription that has ended before this time sends nothing more.
        superseded_before: Later ones may be on their way to the provider.

    Returns:
        The number of deleted ones.
    """
    result = await connection.execute(_DROP, used_since, superseded_before)
    return int(result.rpartition(" ")[2])


async def soonest_expiry(connection: db.Connection, now: datetime) -> datetime | None:
    """Return the earliest end of a certificate in use: the newest, and those of living subscriptions."""
    found: datetime | None = await connection.fetchval(_SOONEST, now)
    return found


def _row(record: object) -> CertificateRow | None:
    return None if record is None else CertificateRow(**dict(record))  # type: ignore[call-overload]
