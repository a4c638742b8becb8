"""The use cases of callers: begin a backfill, read its progress, and cancel it."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.processor.v1 import processor_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlation_id
from services.meshkit.errors import FieldInvalid
from services.meshkit.queue import WakeQueue
from services.processor.errors import AbilityNotGranted, TenantNotFound
from services.processor.mail.store import backfills, lookups
from services.processor.mail.store.backfills import BackfillRow
from services.processor.settings import ProcessorSettings
from services.processor.stream.store import tenants
from services.providers.abilities import MAIL_READ, connect_command

WAKE_PREFIX = "backfill:"
"""The beginning of the keys by which workers are woken for backfills."""
_TIMES = ("since", "until", "reached_at", "finished_at")


class Backfills:
    """Begins, shows and cancels backfills.

    Args:
        pool: Connections to PostgreSQL.
        wakes: Wakes a worker.
        settings: Bounds.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, wakes: WakeQueue, settings: ProcessorSettings, clock: Clock) -> None:
        self._pool = pool
        self._wakes = wakes
        self._settings = settings
        self._clock = clock

    def checked(self, since: Timestamp) -> datetime:
        """Return the beginning that a request asks for.

        Raises:
            FieldInvalid: It is absent, no time, or too far in the past.
        """
        now, days = self._clock.now(), self._settings.backfill_days
        try:
            begin = since.ToDatetime(UTC)
        except (ValueError, OverflowError) as exc:
            raise FieldInvalid.of("since", "is no time") from exc
        if begin < now - timedelta(days=days):
            raise FieldInvalid.of("since", f"must be at most {days} days ago")
        return begin

    async def begin(self, tenant_id: str, since: datetime) -> tuple[BackfillRow, bool]:
        """Begin a backfill, or return the running one and True. Safe to call again.

        Raises:
            TenantNotFound: There is no such tenant.
            AbilityNotGranted: The tenant has not granted the reading of its mail.
        """
        async with db.transaction(self._pool) as connection:
            provider = await _readable(connection, tenant_id)
            is_new = await backfills.start(connection, tenant_id, provider, since, self._clock.now(), correlation_id())
            row = await backfills.read(connection, tenant_id)
        assert row is not None  # noqa: S101 - it was inserted, or is running
        if is_new:
            self._wakes.wake(f"{WAKE_PREFIX}{tenant_id}")
        return row, not is_new

    async def get(self, tenant_id: str) -> BackfillRow | None:
        """Read the backfill of a tenant that is running or was the last.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        async with db.connection(self._pool) as connection:
            return await _existing(connection, tenant_id)

    async def cancel(self, tenant_id: str) -> BackfillRow | None:
        """End the running backfill of a tenant; return it, or the last one as it is. Safe to call again.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        async with db.transaction(self._pool) as connection:
            if await backfills.cancel(connection, tenant_id, self._clock.now()):
                await lookups.drop_backfilled(connection, tenant_id)
            return await _existing(connection, tenant_id)


async def _existing(connection: db.Connection, tenant_id: str) -> BackfillRow | None:
    if await tenants.granted(connection, tenant_id) is None:
        raise TenantNotFound.of(tenant_id)
    return await backfills.read(connection, tenant_id)


async def _readable(connection: db.Connection, tenant_id: str) -> str:
    """Return the provider of a tenant whose mail may be read."""
    found = await tenants.granted(connection, tenant_id)
    if found is None:
        raise TenantNotFound.of(tenant_id)
    provider, abilities = found
    if MAIL_READ not in abilities:
        command = connect_command(provider, tenant_id, (MAIL_READ,))
        metadata = {"ability": MAIL_READ, "tenant_id": tenant_id, "command": command}
        message = f"The tenant has not granted {MAIL_READ}. Connect its account again with this ability: {command}"
        raise AbilityNotGranted(message, subject=tenant_id, metadata=metadata)
    return provider


def message_of(row: BackfillRow) -> pb2.Backfill:
    """Return a backfill as the contract has it."""
    made = pb2.Backfill(
        tenant_id=row.tenant_id,
        provider=row.provider,
        state=row.state,  # type: ignore[arg-type]
        messages=row.messages,
        is_cut=row.is_cut,
        reason=row.reason,
        detail=row.detail,
    )
    for name in _TIMES:
        if (moment := getattr(row, name)) is not None:
            getattr(made, name).FromDatetime(moment)
    return made
