"""The checkpoints of a run as LangGraph reads and writes them: on our own connections, sealed, under a lease."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from typing_extensions import override

from services.meshkit import db
from services.meshkit.ids import is_id
from services.workflows.engine.failures import LeaseLost, StateTooLarge, TooManySteps
from services.workflows.sealing import Cipher
from services.workflows.store import checkpoints
from services.workflows.store.checkpoints import CheckpointRow, WriteRow
from services.workflows.store.rows import Lease

MAX_BYTES = 64 * 1024
"""The largest state, and the largest result of a step. States hold ids: content stays where it is."""

MAX_STEPS = 100
"""The largest number of steps of a run, and of each graph within it: a graph that runs in a circle ends."""


class RunSaver(BaseCheckpointSaver[str]):
    """Keeps the checkpoints of a tenant's runs; the thread of LangGraph is the run.

    Values of types other than plain ones do not load: nothing that is stored chooses a class.

    Args:
        pool: Connections to PostgreSQL.
        cipher: Seals states and results.
        tenant_id: The tenant of the runs.
        lease_id: The lease under which checkpoints are written.
    """

    def __init__(self, pool: db.Pool, cipher: Cipher, tenant_id: str, lease_id: str) -> None:
        super().__init__(serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        self._pool, self._cipher = pool, cipher
        self._tenant_id, self._lease_id = tenant_id, lease_id

    @override
    def get_next_version(self, current: str | int | None, channel: None) -> str:
        """Return the next version of a field: versions are compared as text."""
        return f"{int(current or 0) + 1:032d}"

    @override
    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Read a checkpoint, the newest unless one is named.

        Raises:
            SealBroken: It was altered.
            KeyUnavailable: The key that sealed it is not loaded.
        """
        run_id, namespace = _place(config)
        if not is_id(run_id):
            return None
        async with db.connection(self._pool) as connection:
            row = await checkpoints.get(connection, self._tenant_id, run_id, namespace, get_checkpoint_id(config) or "")
            return await self._tuple(connection, run_id, row) if row else None

    @override
    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """List a run's checkpoints, newest first."""
        if config is None:
            return
        run_id, namespace = config["configurable"]["thread_id"], config["configurable"].get("checkpoint_ns")
        end = (before and get_checkpoint_id(before)) or ""
        async with db.connection(self._pool) as connection:
            rows = await checkpoints.page(
                connection, self._tenant_id, run_id, namespace, get_checkpoint_id(config) or "", end
            )
            found = [await self._tuple(connection, run_id, row) for row in rows]
        wanted = (filter or {}).items()
        chosen = [one for one in found if all(dict(one.metadata).get(name) == value for name, value in wanted)]
        for one in chosen[:limit]:
            yield one

    @override
    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint.

        Raises:
            LeaseLost: Another process holds the run, or it has ended.
            StateTooLarge: The state has more than 64 KiB.
            TooManySteps: The graph has had as many steps as it may have.
        """
        if metadata["step"] > MAX_STEPS:
            raise TooManySteps
        run_id, namespace = _place(config)
        content = (checkpoint, get_checkpoint_metadata(config, metadata))
        sealed = self._seal(content, run_id, namespace, checkpoint["id"])
        row = CheckpointRow(namespace, checkpoint["id"], get_checkpoint_id(config) or "", sealed)
        async with db.connection(self._pool) as connection:
            if not await checkpoints.put(connection, self._lease(run_id), row):
                raise LeaseLost
        return _config(run_id, namespace, checkpoint["id"])

    @override
    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store results of a step.

        Raises:
            LeaseLost: Another process holds the run, or it has ended.
            StateTooLarge: A result has more than 64 KiB.
        """
        run_id, namespace = _place(config)
        checkpoint_id = config["configurable"]["checkpoint_id"]
        rows: dict[int, WriteRow] = {}
        for number, (channel, value) in enumerate(writes):
            place = WRITES_IDX_MAP.get(channel, number)
            sealed = self._seal(value, run_id, namespace, checkpoint_id, task_id, str(place))
            rows[place] = WriteRow(task_id, place, task_path, channel, sealed)
        if not rows:
            return
        async with db.connection(self._pool) as connection:
            lease = self._lease(run_id)
            if not await checkpoints.put_writes(connection, lease, namespace, checkpoint_id, list(rows.values())):
                raise LeaseLost

    @override
    async def adelete_thread(self, thread_id: str) -> None:
        """Delete a run's checkpoints."""
        async with db.transaction(self._pool) as connection:
            await checkpoints.delete(connection, self._tenant_id, thread_id)

    def _lease(self, run_id: str) -> Lease:
        return Lease(self._tenant_id, run_id, self._lease_id)

    async def _tuple(self, connection: db.Connection, run_id: str, row: CheckpointRow) -> CheckpointTuple:
        names = (run_id, row.namespace, row.checkpoint_id)
        checkpoint, metadata = self._open(row.sealed, *names)
        stored = await checkpoints.writes(connection, self._tenant_id, *names)
        pending: list[PendingWrite] = [
            (one.task_id, one.channel, self._open(one.sealed, *names, one.task_id, str(one.place))) for one in stored
        ]
        parent = _config(run_id, row.namespace, row.parent_id) if row.parent_id else None
        return CheckpointTuple(_config(*names), checkpoint, metadata, parent, pending)

    def _seal(self, value: object, *owner: str) -> bytes:
        kind, content = self.serde.dumps_typed(value)
        if len(content) > MAX_BYTES:
            raise StateTooLarge
        return self._cipher.seal(kind.encode() + b"\0" + content, self._tenant_id, *owner)

    def _open(self, sealed: bytes, *owner: str) -> Any:
        kind, _, content = self._cipher.open(sealed, self._tenant_id, *owner).partition(b"\0")
        return self.serde.loads_typed((kind.decode(), content))


def _place(config: RunnableConfig) -> tuple[str, str]:
    named = config["configurable"]
    return named["thread_id"], named.get("checkpoint_ns", "")


def _config(run_id: str, namespace: str, checkpoint_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": run_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}}
