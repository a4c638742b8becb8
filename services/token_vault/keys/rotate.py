"""Rotate key-encryption keys: wrap every data key by one key, while every process goes on serving.

One row names the key that wraps new data keys. A writer locks that row against change before it wraps, and a rotation
changes the row. So once a rotation has begun, no process writes with the old key, and the set of data keys to re-wrap
only shrinks.
"""

from dataclasses import dataclass, field

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.token_vault.audit import COMMAND
from services.token_vault.keys.errors import KeyRetiring, KeyUnavailable, SealBroken
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.keys.registration import LIVE, check_keys
from services.token_vault.keys.sealing import rewrap
from services.token_vault.store import audit, data_keys, encryption_keys
from services.token_vault.store.data_keys import WrappedKey

logger = structlog.get_logger(__name__)

_BATCH = 200


@dataclass
class Rotation:
    """The result of a rotation.

    Args:
        key_id: The key that wraps every data key now.
        rewrapped: Number of data keys that were wrapped again.
        unopened: Reasons by tenant, for data keys that did not open.
        wrapped_by: Number of data keys by the key that wraps them, at the end.
        retired: Keys that wrap no data key and are not written with: the operator can remove them from the settings.
    """

    key_id: str
    rewrapped: int = 0
    unopened: dict[str, str] = field(default_factory=dict)
    wrapped_by: dict[str, int] = field(default_factory=dict)
    retired: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeyRotator:
    """Rotates to a key, for the command line.

    Args:
        pool: Connections to the database.
        ring: The keys that this process has loaded.
        clock: The time.
    """

    pool: db.Pool
    ring: KeyRing
    clock: Clock

    async def rotate(self, key_id: str = "") -> Rotation:
        """Wrap every data key by one key. Safe to call again: yes; it continues where it stopped.

        Args:
            key_id: The key to wrap by; empty for the first of the settings.

        Raises:
            KeyUnavailable: The key is not loaded here.
            KeyRetiring: A live process lacks the key; nothing was changed.
            SettingsError: A key differs from the one that was used under its id.
        """
        target = key_id or self.ring.first_id
        self.ring.key(target)
        await self._switch(target)
        rotation = Rotation(target)
        await self._rewrap_all(rotation)
        await self._finish(rotation)
        return rotation

    async def _switch(self, target: str) -> None:
        now = self.clock.now()
        async with db.transaction(self.pool) as connection:
            await check_keys(connection, self.ring, now)
            before = await encryption_keys.writing_key_id(connection)
            await encryption_keys.set_writing_key(connection, target)
            live = await encryption_keys.processes_since(connection, now - LIVE)
            lacking = [process.process_id for process in live if target not in process.key_ids]
            if lacking:
                message = f"{len(lacking)} of {len(live)} live processes lack the key {target}: give it to them first."
                raise KeyRetiring(message, subject=target, metadata={"key_id": target})
            facts = {"from": before, "to": target, "step": "begin"}
            await audit.append(connection, audit.Entry(COMMAND, "key_encryption_key.rotate", now, detail=facts))

    async def _rewrap_all(self, rotation: Rotation) -> None:
        after: WrappedKey | None = None
        while True:
            async with db.transaction(self.pool) as connection:
                batch = await data_keys.keys_not_wrapped_by(connection, rotation.key_id, after, _BATCH)
                for old in batch:
                    await self._rewrap(connection, old, rotation)
            if not batch:
                return
            after = batch[-1]
            logger.info("data keys rewrapped", key_id=rotation.key_id, so_far=rotation.rewrapped)

    async def _rewrap(self, connection: db.Connection, old: WrappedKey, rotation: Rotation) -> None:
        try:
            new = rewrap(self.ring, old, rotation.key_id)
        except (SealBroken, KeyUnavailable) as exc:
            rotation.unopened[old.tenant_id] = exc.reason
            logger.warning("data key does not open", tenant_id=old.tenant_id, reason=exc.reason)
            return
        rotation.rewrapped += await data_keys.replace_wrapped(connection, old, new)

    async def _finish(self, rotation: Rotation) -> None:
        now = self.clock.now()
        async with db.transaction(self.pool) as connection:
            rotation.wrapped_by = await data_keys.wrapped_counts(connection)
            known = await encryption_keys.check_values(connection)
            rotation.retired = tuple(sorted(known.keys() - rotation.wrapped_by.keys() - {rotation.key_id}))
            facts = {
                "to": rotation.key_id,
                "step": "end",
                "rewrapped": str(rotation.rewrapped),
                "unopened": str(len(rotation.unopened)),
            }
            await audit.append(connection, audit.Entry(COMMAND, "key_encryption_key.rotate", now, detail=facts))
