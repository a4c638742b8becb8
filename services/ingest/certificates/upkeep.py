"""Makes, replaces and keeps the certificates for whose keys Graph encrypts resource data."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from services.ingest.certificates.sealer import Sealer
from services.ingest.metrics import CERTIFICATE_EXPIRY, CERTIFICATES
from services.ingest.store import notification_certificates as store
from services.ingest.store.notification_certificates import CertificateRow
from services.meshkit import db
from services.meshkit.cache import BoundedCache
from services.meshkit.clock import Clock
from services.meshkit.ids import is_id, new_id

logger = structlog.get_logger(__name__)

KEY_BITS: Final = 2048
"""Graph takes RSA keys of 2,048 to 4,096 bits."""
REDELIVERY: Final = timedelta(hours=4)
"""How long Graph repeats a notification, so how long one can arrive behind its subscription's end."""
AFTERLIFE: Final = timedelta(days=2)
"""The least time that a superseded key is kept: a day for subscriptions with it, and time for late notifications."""
ROLLOUT: Final = timedelta(hours=1)
"""The least age of a certificate that is replaced because another key seals: processes that restart one by one with a
new first key would otherwise replace each other's certificates, each of which then takes two days to be dropped."""
_NAME: Final = "mailmesh notifications"
_OPENED: Final = 16
_OPENED_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """The public part, as Graph takes it.

    Args:
        certificate_id: Our id, a UUID.
        der: X.509 in DER.
    """

    certificate_id: str
    der: bytes


class Certificates:
    """The certificates of the installation. Several processes may use them at once.

    Args:
        pool: Connections to PostgreSQL.
        sealer: Seals the private keys.
        life: The life of a certificate; it is replaced at half of it.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, sealer: Sealer, life: timedelta, clock: Clock) -> None:
        self._pool = pool
        self._sealer = sealer
        self._life = life
        self._clock = clock
        self._opened: BoundedCache[str, rsa.RSAPrivateKey] = BoundedCache(_OPENED, _OPENED_SECONDS)

    async def current(self) -> Certificate:
        """Return the certificate for subscriptions; make one when there is none, or the newest is due. Safe to repeat.

        Raises:
            StoreUnavailable: PostgreSQL is away.
        """
        async with db.connection(self._pool) as connection:
            found = await store.newest(connection)
        if found is None or self._is_due(found):
            found = await self._replaced()
        return Certificate(found.certificate_id, found.certificate)

    async def private_key(self, certificate_id: str) -> rsa.RSAPrivateKey | None:
        """Return the private key of a certificate, superseded ones included, or None when it is unknown.

        Args:
            certificate_id: The id that a notification states.

        Raises:
            StoreUnavailable: PostgreSQL is away.
            KeyUnavailable: The key that sealed it is not loaded.
            SealBroken: It was altered.
        """
        if not is_id(certificate_id):
            return None
        known = self._opened.get(certificate_id)
        if known is not None:
            return known
        async with db.connection(self._pool) as connection:
            row = await store.get(connection, certificate_id)
        if row is None:
            return None
        key = _loaded(self._sealer.open(row.certificate_id, row.sealed_key, row.sealed_by))
        self._opened.put(certificate_id, key)
        return key

    async def round(self) -> int:
        """Replace a certificate that is due, drop those that nothing uses, and set the gauge. Returns 0."""
        now = self._clock.now()
        async with db.connection(self._pool) as connection:
            found = await store.newest(connection)
            dropped = await store.drop_ended(connection, used_since=now - REDELIVERY, superseded_before=now - AFTERLIFE)
        CERTIFICATES.labels("dropped").inc(dropped)
        if found is not None and self._is_due(found):
            await self._replaced()
        async with db.connection(self._pool) as connection:
            soonest = await store.soonest_expiry(connection, now)
        CERTIFICATE_EXPIRY.set(0 if soonest is None else soonest.timestamp())
        return 0

    def _is_due(self, row: CertificateRow) -> bool:
        now = self._clock.now()
        if row.sealed_by != self._sealer.first and now - row.created_at >= ROLLOUT:
            return True
        return row.expires_at - now <= self._life / 2

    async def _replaced(self) -> CertificateRow:
        made = await asyncio.to_thread(_made, self._sealer, self._clock.now(), self._life)
        async with db.transaction(self._pool) as connection:
            await store.lock(connection)
            found = await store.newest(connection)
            if found is not None and not self._is_due(found):
                return found  # another process was faster
            await store.replace(connection, made)
        CERTIFICATES.labels("made").inc()
        logger.info("certificate for resource data made", certificate_id=made.certificate_id)
        return made


def _made(sealer: Sealer, now: datetime, life: timedelta) -> CertificateRow:
    """Make a key and its self-signed certificate, which Graph accepts."""
    certificate_id, key = new_id(), rsa.generate_private_key(65537, KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    ends_at = now + life
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(ends_at)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.DER)
    return CertificateRow(certificate_id, public, sealer.seal(certificate_id, private), sealer.first, now, ends_at)


def _loaded(der: bytes) -> rsa.RSAPrivateKey:
    key = serialization.load_der_private_key(der, None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("a certificate's private key is not RSA")
    return key
