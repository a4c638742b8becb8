"""Register a process with the key-encryption keys that it has loaded: checked at start, announced while it serves.

A rotation refuses a key that a live process lacks, so every serving process says which keys it has.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.settings import SettingsError
from services.token_vault.keys.errors import SealBroken
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.keys.sealing import bound_to, open_with, seal_with
from services.token_vault.store import data_keys, encryption_keys

logger = structlog.get_logger(__name__)

LIVE = timedelta(seconds=30)
"""A process that was not seen for this long counts as dead."""
_CHECK = b"mailmesh vault key check"


class KeyRegistration:
    """Registers one process, and keeps its keys current.

    Args:
        pool: Connections to the database.
        ring: The keys that this process has loaded.
        clock: The time.
        process_id: The id of this process.
        reread: Reads the keys again; the file of keys may have changed.
    """

    def __init__(
        self, pool: db.Pool, ring: KeyRing, clock: Clock, process_id: str, reread: Callable[[], KeyRing]
    ) -> None:
        self._pool = pool
        self._ring = ring
        self._clock = clock
        self._process_id = process_id
        self._reread = reread

    async def start(self) -> None:
        """Check the keys and announce the process, in one transaction: a rotation sees the process, or waits for it.

        Raises:
            SettingsError: A key differs from the one that was used under its id, or the key that wraps new data keys is
                not loaded.
        """
        async with db.transaction(self._pool) as connection:
            await check_keys(connection, self._ring, self._clock.now())
            await encryption_keys.set_writing_key(connection, self._ring.first_id, only_first=True)
            await self._require_usable(connection, self._ring)
            await self._announce(connection)
            await encryption_keys.prune_processes(connection, self._clock.now() - 10 * LIVE)
            wrapped_by = await data_keys.wrapped_counts(connection)
        for key_id in wrapped_by.keys() - set(self._ring.ids):
            logger.warning("a needed key is not loaded", key_id=key_id, data_keys=wrapped_by[key_id])

    async def beat(self) -> int:
        """Adopt keys that were added or removed, and announce that the process lives. For a loop."""
        await self._adopt()
        async with db.connection(self._pool) as connection:
            writing = await self._announce(connection)
        if writing not in self._ring:
            logger.error("the key that wraps data keys is not loaded", key_id=writing)
        return 0

    async def stop(self) -> None:
        """Announce the end of the process."""
        async with db.transaction(self._pool) as connection:
            await encryption_keys.retire_process(connection, self._process_id)

    async def _adopt(self) -> None:
        """Keep the current keys when the new ones are unusable."""
        try:
            ring = self._reread()
            if ring.is_like(self._ring):
                return
            async with db.transaction(self._pool) as connection:
                await self._require_usable(connection, ring)
        except SettingsError as exc:
            logger.error("changed keys cannot be used", faults=exc.faults)  # noqa: TRY400 - its text says all
            return
        self._ring.adopt(ring)  # only once the check values are stored: later rounds do not store them
        logger.info("keys read again", key_ids=self._ring.ids)

    async def _require_usable(self, connection: db.Connection, ring: KeyRing) -> None:
        """Lock the row that names the key for new data keys, so that a rotation waits until we are announced."""
        await check_keys(connection, ring, self._clock.now())
        writing = await encryption_keys.writing_key_id(connection, lock=True)
        if writing not in ring:
            raise SettingsError([f"MAILMESH_VAULT_KEYS lacks the key {writing}, which wraps data keys."])

    async def _announce(self, connection: db.Connection) -> str:
        """Announce the process; return the id of the key that wraps new data keys, and write with it from now on."""
        writing = await encryption_keys.announce_process(
            connection, self._process_id, self._ring.ids, self._clock.now()
        )
        self._ring.write_with(writing)
        return writing


async def check_keys(connection: db.Connection, ring: KeyRing, now: datetime) -> None:
    """Compare each key with the stored check value of its id; a new key stores its own.

    Raises:
        SettingsError: A key differs from the one that was used under its id.
    """
    known = await encryption_keys.check_values(connection)
    for key_id in ring.ids:
        if key_id not in known:
            value = seal_with(ring.key(key_id), _CHECK, bound_to("check", key_id))
            await encryption_keys.add_check_value(connection, key_id, value, now)
    # Read again: another process may have been faster with the same id and another key.
    stored = await encryption_keys.check_values(connection)
    wrong = [key_id for key_id in ring.ids if not _is_same(ring, key_id, stored[key_id])]
    if wrong:
        raise SettingsError(
            f"MAILMESH_VAULT_KEYS: the key {key_id} is not the one that was used under this id." for key_id in wrong
        )


def _is_same(ring: KeyRing, key_id: str, check_value: bytes) -> bool:
    try:
        return open_with(ring.key(key_id), check_value, bound_to("check", key_id)) == _CHECK
    except SealBroken:
        return False
