"""Pulls Gmail's notifications in rounds, and acknowledges each only after it is committed to the inbox."""

from typing import Final

import structlog

from services.ingest.metrics import LAST_PULL, PULLS
from services.ingest.pulling.subscription import PulledMessage, PullSubscription
from services.ingest.store import pull_leases
from services.ingest.webhooks.gmail_receiver import GmailReceiver
from services.ingest.webhooks.google import GmailPush, parse_message
from services.ingest.webhooks.outcomes import count
from services.ingest.webhooks.untrusted_json import UnreadableError
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.providers.names import GOOGLEWS

logger = structlog.get_logger(__name__)

_WORK_SECONDS: Final = 10.0
"""The time of a round beside its wait: the commit, the acknowledgement, and a clock that differs."""


class Puller:
    """Pulls while it holds the lease on the subscription: of several processes one pulls, and another follows it.

    The lease spares calls and repeats. Nothing depends on it: Pub/Sub leases each message to one puller anyway.

    Args:
        pool: Connections to PostgreSQL.
        subscription: The subscription at Pub/Sub.
        receiver: Commits notifications.
        clock: The time.
        name: The subscription's name.
        holder: The name of this process, different for each.
        most: The most messages of a round, 1 to 1,000.
        wait_seconds: How long a round waits for its first message.
    """

    def __init__(
        self,
        pool: db.Pool,
        subscription: PullSubscription,
        receiver: GmailReceiver,
        clock: Clock,
        *,
        name: str,
        holder: str,
        most: int,
        wait_seconds: float,
    ) -> None:
        self._pool = pool
        self._subscription = subscription
        self._receiver = receiver
        self._clock = clock
        self._name = name
        self._holder = holder
        self._most = most
        self._wait_seconds = wait_seconds
        # A subscription that never answers must be noticed too.
        LAST_PULL.set(clock.now().timestamp())

    async def round(self) -> int:
        """Pull once, commit, acknowledge. Safe to call again.

        Returns:
            The number of messages; 0 when none came, or another process pulls.

        Raises:
            MeshError: Pub/Sub or PostgreSQL failed. Nothing is lost: unacknowledged messages are redelivered.
        """
        try:
            if not await self._hold():
                return 0
            messages = await self._subscription.pull(self._most, self._wait_seconds)
            if messages:
                await self._keep(messages)
                await self._subscription.acknowledge(messages)
        except MeshError as exc:
            PULLS.labels(exc.reason).inc()
            raise
        # The alert about pulls must see commits and acknowledgements that fail, too.
        PULLS.labels("ok").inc()
        LAST_PULL.set(self._clock.now().timestamp())
        return len(messages)

    async def aclose(self) -> None:
        """End the lease, so that another process need not wait for its end. Safe to call again."""
        try:
            async with db.connection(self._pool) as connection:
                await pull_leases.release(connection, self._name, self._holder)
        except MeshError as exc:
            logger.warning("lease not released", reason=exc.reason)
        await self._subscription.aclose()

    async def _hold(self) -> bool:
        async with db.connection(self._pool) as connection:
            seconds = self._wait_seconds + _WORK_SECONDS
            return await pull_leases.hold(connection, self._name, self._holder, seconds)

    async def _keep(self, messages: list[PulledMessage]) -> None:
        """Return when all messages are on disk; on a failure have them delivered again."""
        try:
            await self._receiver.receive(_readable(messages))
        except MeshError:
            await self._give_back(messages)
            raise

    async def _give_back(self, messages: list[PulledMessage]) -> None:
        try:
            await self._subscription.give_back(messages)
        except MeshError as exc:
            logger.warning("messages not given back", messages=len(messages), reason=exc.reason)


def _readable(messages: list[PulledMessage]) -> list[GmailPush]:
    """Parse messages. One that is not Gmail's is counted and acknowledged: it would never become readable."""
    found: list[GmailPush] = []
    for one in messages:
        try:
            found.append(parse_message(one.message))
        except UnreadableError as exc:
            count(GOOGLEWS, exc.cause)
    return found
