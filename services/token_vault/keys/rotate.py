"""Key-encryption keys over time: checked at start, announced while serving, rotated by command while all goes on.

Which key wraps new data keys is said by one row. Whoever is about to wrap locks it against change; rotating changes it.
So when rotation has begun nobody writes with the old key any more, and re-wrapping what is there comes to an end.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.settings import SettingsError
from services.token_vault.audit import COMMAND
from services.token_vault.errors import KeyRetiring, KeyUnavailable, SealBroken
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.keys.sealing import bound_to, open_with, rewrap, seal_with
from services.token_vault.store import audit, data_keys, encryption_keys
from services.token_vault.store.data_keys import WrappedKey

logger = structlog.get_logger(__name__)

LIVE = timedelta(seconds=30)
"""A process that was not seen for so long does not live any more."""
_CHECK = b"mailmesh vault key check"
_BATCH = 200


@dataclass
class Rotation:
    """What a rotation did.

    Args:
        key_id: The key that everything is wrapped by now.
        rewrapped: Data keys that were wrapped anew.
        unopened: Tenants whose data key could not be opened, and why.
        wrapped_by: Data keys by the key that wraps them, at the end.
        retired: Keys that nothing is wrapped by and nobody writes with: they can be taken out of the settings.
    """

    key_id: str
    rewrapped: int = 0
    unopened: dict[str, str] = field(default_factory=dict)
    wrapped_by: dict[str, int] = field(default_factory=dict)
    retired: tuple[str, ...] = ()


class KeyKeeper:
    """Looks after the key-encryption keys of one process.

    Args:
        pool: Connections to the database.
        ring: The keys that this process has loaded.
        clock: The time.
        process_id: Who this process is.
        reread: Reads the keys again; a file of keys may have changed.
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
        """Checks the keys and announces the process; in one transaction, so that a rotation sees it or is seen.

        Raises:
            SettingsError: A key is not the one that was used under its id, or the one to write with is not loaded.
        """
        async with db.transaction(self._pool) as connection:
            await self._check(connection, self._ring)
            await encryption_keys.set_writing_key(connection, self._ring.first_id, only_first=True)
            await self._require_usable(connection, self._ring)
            await self._announce(connection)
            wrapped_by = await data_keys.wrapped_counts(connection)
        for key_id in wrapped_by.keys() - set(self._ring.ids):
            logger.warning("a needed key is not loaded", key_id=key_id, data_keys=wrapped_by[key_id])

    async def beat(self) -> int:
        """Takes over keys that were added or taken out, and says that the process lives. For a loop."""
        await self._adopt()
        async with db.transaction(self._pool) as connection:
            await self._announce(connection)
            await encryption_keys.prune_processes(connection, self._clock.now() - 10 * LIVE)
        return 0

    async def _adopt(self) -> None:
        """Goes on with the keys at hand when the new ones cannot be used."""
        try:
            ring = self._reread()
            async with db.transaction(self._pool) as connection:
                await self._require_usable(connection, ring)
                is_changed = self._ring.adopt(ring)
        except SettingsError as exc:
            logger.error("changed keys cannot be used", faults=exc.faults)  # noqa: TRY400 - its text says all
            return
        if is_changed:
            logger.info("keys read again", key_ids=self._ring.ids)

    async def _require_usable(self, connection: db.Connection, ring: KeyRing) -> None:
        """Locks the row that says which key is written with, so that a rotation waits until we are announced."""
        await self._check(connection, ring)
        writing = await encryption_keys.writing_key_id(connection, lock=True)
        if writing not in ring:
            raise SettingsError([f"MAILMESH_VAULT_KEYS lacks the key {writing}, which data keys are wrapped by."])

    async def stop(self) -> None:
        """Says that the process ends."""
        async with db.transaction(self._pool) as connection:
            await encryption_keys.retire_process(connection, self._process_id)

    async def rotate(self, key_id: str = "") -> Rotation:
        """Wraps everything by one key. Safe to call again: yes; it goes on where it was.

        Args:
            key_id: By which; empty for the first of the settings.

        Raises:
            KeyUnavailable: The key is not loaded here.
            KeyRetiring: A live process lacks it; nothing was changed.
            SettingsError: A key is not the one that was used under its id.
        """
        target = key_id or self._ring.first_id
        self._ring.key(target)
        await self._switch(target)
        rotation = Rotation(target)
        await self._rewrap_all(rotation)
        await self._finish(rotation)
        return rotation

    async def _check(self, connection: db.Connection, ring: KeyRing) -> None:
        """Compares each key with what is stored about its id; a key that is new leaves its check value."""
        known = await encryption_keys.check_values(connection)
        for key_id in ring.ids:
            if key_id not in known:
                value = seal_with(ring.key(key_id), _CHECK, bound_to("check", key_id))
                await encryption_keys.add_check_value(connection, key_id, value, self._clock.now())
        # Read again: another process may have been faster with the same id and another key.
        stored = await encryption_keys.check_values(connection)
        wrong = [key_id for key_id in ring.ids if not _is_same(ring, key_id, stored[key_id])]
        if wrong:
            raise SettingsError(
                f"MAILMESH_VAULT_KEYS: the key {key_id} is not the one that was used under this id." for key_id in wrong
            )

    async def _announce(self, connection: db.Connection) -> None:
        await encryption_keys.announce_process(connection, self._process_id, self._ring.ids, self._clock.now())

    async def _switch(self, target: str) -> None:
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            await self._check(connection, self._ring)
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
        after = ""
        while True:
            async with db.transaction(self._pool) as connection:
                batch = await data_keys.keys_not_wrapped_by(connection, rotation.key_id, after, _BATCH)
                for old in batch:
                    await self._rewrap(connection, old, rotation)
            if not batch:
                return
            after = batch[-1].tenant_id
            logger.info("data keys wrapped anew", key_id=rotation.key_id, so_far=rotation.rewrapped)

    async def _rewrap(self, connection: db.Connection, old: WrappedKey, rotation: Rotation) -> None:
        try:
            new = rewrap(self._ring, old, rotation.key_id)
        except (SealBroken, KeyUnavailable) as exc:
            rotation.unopened[old.tenant_id] = exc.reason
            logger.warning("data key does not open", tenant_id=old.tenant_id, reason=exc.reason)
            return
        rotation.rewrapped += await data_keys.replace_wrapped(connection, old, new)

    async def _finish(self, rotation: Rotation) -> None:
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
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


def _is_same(ring: KeyRing, key_id: str, check_value: bytes) -> bool:
    try:
        return open_with(ring.key(key_id), check_value, bound_to("check", key_id)) == _CHECK
    except SealBroken:
        return False
