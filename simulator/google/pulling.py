"""The pulling side of Pub/Sub: at least once, in no order, under ack ids that expire."""

import asyncio
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from simulator.google.errors import api_error
from simulator.http import JSON, Call, Operations, Reply
from simulator.state import World

SCOPE = "https://www.googleapis.com/auth/pubsub"
SCOPES = (SCOPE, "https://www.googleapis.com/auth/cloud-platform")
CONSUME = "pubsub.subscriptions.consume"
_MESSAGES_MAX = 1000
_DEADLINE_MAX_SECONDS = 600
_ACK_IDS_MAX = 2500
_PATH = "/v1/projects/{project}/subscriptions/{subscription}"


@dataclass(slots=True)
class _Kept:
    """A message until it is acknowledged; it can be pulled from the time `free_at` on."""

    message: JSON
    born: float
    free_at: float
    ack_id: str = ""
    attempts: int = 0


@dataclass(slots=True)
class Numbers:
    """The counts of the subscription since its creation."""

    published: int = 0
    delivered: int = 0
    redelivered: int = 0
    acknowledged: int = 0
    too_late: int = 0
    dropped: int = 0


@dataclass(slots=True)
class PullSubscription:
    """One pull subscription of the topic. It keeps nothing before it is created.

    Attributes:
        name: "projects/.../subscriptions/...".
        consumers: The addresses of service accounts that may consume it.
        exists: Whether it has been created.
    """

    world: World
    name: str
    consumers: set[str]
    exists: bool = False
    numbers: Numbers = field(default_factory=Numbers)
    _kept: dict[str, _Kept] = field(default_factory=dict)
    _life: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def register(self, operations: Operations) -> None:
        """Add the operations to the provider's table."""
        add = operations.add
        add("pubsub.pull", "POST", f"{_PATH}:pull", self.pull, scopes=SCOPES)
        add("pubsub.acknowledge", "POST", f"{_PATH}:acknowledge", self.acknowledge, scopes=SCOPES)
        add("pubsub.modifyAckDeadline", "POST", f"{_PATH}:modifyAckDeadline", self.modify, scopes=SCOPES)
        add("pubsub.testIamPermissions", "POST", f"{_PATH}:testIamPermissions", self.permissions, scopes=SCOPES)

    def create(self, *, exists: bool) -> None:
        """Create the subscription, or delete it: its messages go, and pulls that wait end."""
        if exists and not self.exists:
            self.numbers = Numbers()
        if not exists:
            self._kept.clear()
            self._life += 1
            self._news.set()
        self.exists = exists

    def keep(self, message: JSON) -> None:
        """Keep a message that was published to the topic; past the bound it is dropped and counted."""
        if not self.exists:
            return
        if len(self._kept) >= self.world.knobs.push_pending_max:
            self.numbers.dropped += 1
            return
        self.numbers.published += 1
        now = self.world.clock.seconds()
        self._kept[str(message["messageId"])] = _Kept(message, now, now)
        self._news.set()

    def shown(self) -> JSON:
        """Return the state, for the control API."""
        now = self.world.clock.seconds()
        numbers = self.numbers
        return {
            "subscription": self.name,
            "exists": self.exists,
            "waiting": sum(1 for one in self._kept.values() if one.free_at <= now),
            "leased": sum(1 for one in self._kept.values() if one.free_at > now),
            "published": numbers.published,
            "delivered": numbers.delivered,
            "redelivered": numbers.redelivered,
            "acknowledged": numbers.acknowledged,
            "tooLate": numbers.too_late,
            "dropped": numbers.dropped,
        }

    async def pull(self, call: Call) -> Reply:
        """Lease messages; wait a bounded time for the first one."""
        self._allow(call)
        body = call.fields(("maxMessages", "returnImmediately"))
        most = body.get("maxMessages")
        if not isinstance(most, int) or isinstance(most, bool) or most < 1:
            raise api_error(400, message="You have passed an argument that is invalid (argument=max_messages).")
        life = self._life
        end = asyncio.get_running_loop().time() + self.world.knobs.pubsub_pull_wait_seconds
        while not (found := self._free()) and not body.get("returnImmediately"):
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                break
            self._news.clear()
            try:
                # Leases end by the clock, without news.
                async with asyncio.timeout(min(left, 0.1)):
                    await self._news.wait()
            except TimeoutError:
                pass
            if life != self._life:
                self._find(call)
                return Reply(200, {})
        self.world.faults.random.shuffle(found)
        received = [self._lease(one) for one in found[: min(most, _MESSAGES_MAX)]]
        return Reply(200, {"receivedMessages": received} if received else {})

    def acknowledge(self, call: Call) -> Reply:
        """End messages. An ack id whose deadline has passed has no effect, and that is no failure."""
        self._allow(call)
        for ack_id in self._ack_ids(call.fields(("ackIds",))):
            kept = self._by(ack_id)
            if kept is None:
                self.numbers.too_late += 1
            else:
                self.numbers.acknowledged += 1
                del self._kept[str(kept.message["messageId"])]
        return Reply(200, {})

    def modify(self, call: Call) -> Reply:
        """Change the deadline of messages; 0 makes them free at once."""
        self._allow(call)
        body = call.fields(("ackIds", "ackDeadlineSeconds"))
        seconds = body.get("ackDeadlineSeconds", 0)
        if not isinstance(seconds, int) or not 0 <= seconds <= _DEADLINE_MAX_SECONDS:
            raise api_error(400, message="Invalid ack deadline given: it must be between 0 and 600 seconds.")
        for ack_id in self._ack_ids(body):
            kept = self._by(ack_id)
            if kept is not None:
                kept.free_at = self.world.clock.seconds() + seconds
        self._news.set()
        return Reply(200, {})

    def permissions(self, call: Call) -> Reply:
        """Return which of the named permissions the caller has: none at all for a subscription of others."""
        self._find(call)
        asked = call.fields(("permissions",)).get("permissions") or []
        held = [one for one in asked if one == CONSUME and self._is_consumer(call)]
        return Reply(200, {"permissions": held} if held else {})

    def _find(self, call: Call) -> None:
        name = f"projects/{call.params['project']}/subscriptions/{call.params['subscription']}"
        if not self.exists or name != self.name:
            raise api_error(404, message=f"Resource not found (resource={call.params['subscription']}).")

    def _allow(self, call: Call) -> None:
        self._find(call)
        if not self._is_consumer(call):
            raise api_error(403, message="User not authorized to perform this action.")

    def _is_consumer(self, call: Call) -> bool:
        return call.grant is not None and call.grant.client_id in self.consumers

    def _ack_ids(self, body: JSON) -> Iterable[str]:
        ids = body.get("ackIds")
        if not isinstance(ids, list) or not ids:
            raise api_error(400, message="No ack ids specified.")
        if len(ids) > _ACK_IDS_MAX or any(not isinstance(one, str) or not one.startswith("ack.") for one in ids):
            raise api_error(400, message="You have passed an invalid ack ID to the service.")
        return ids

    def _by(self, ack_id: str) -> _Kept | None:
        now = self.world.clock.seconds()
        return next((one for one in self._kept.values() if one.ack_id == ack_id and one.free_at > now), None)

    def _free(self) -> list[_Kept]:
        now = self.world.clock.seconds()
        self._expire(now)
        return [one for one in self._kept.values() if one.free_at <= now]

    def _expire(self, now: float) -> None:
        retention = self.world.knobs.pubsub_retention_seconds
        for name in [name for name, one in self._kept.items() if one.born + retention <= now]:
            del self._kept[name]

    def _lease(self, kept: _Kept) -> JSON:
        kept.ack_id = f"ack.{secrets.token_urlsafe(120)}"
        kept.free_at = self.world.clock.seconds() + self.world.knobs.pubsub_ack_deadline_seconds
        kept.attempts += 1
        self.numbers.delivered += 1
        self.numbers.redelivered += kept.attempts > 1
        message: dict[str, Any] = {
            name: kept.message[name] for name in ("data", "messageId", "publishTime") if name in kept.message
        }
        return {"ackId": kept.ack_id, "message": message}
