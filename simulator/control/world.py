"""Control of faults, calls, the clock, settings, subscriptions and pushes."""

import asyncio
import time

from cryptography.hazmat.primitives.asymmetric import rsa

from simulator.control.actions import Actions, ControlError, account_of, flag
from simulator.faults import Fault
from simulator.google.pubsub import PubSub
from simulator.google.watch import Watches
from simulator.http import JSON
from simulator.keys import SigningKeys
from simulator.knobs import Knobs
from simulator.microsoft.filters import parse_time
from simulator.microsoft.graph import GraphRules
from simulator.microsoft.notify import Notifier
from simulator.microsoft.registry import Subscription, SubscriptionRegistry
from simulator.microsoft.subscriptions import expiry_text
from simulator.state import World

_LIFECYCLE = frozenset({"reauthorizationRequired", "subscriptionRemoved", "missed"})


class WorldControl:
    """The actions that concern no single mailbox."""

    def __init__(
        self,
        world: World,
        *,
        pubsub: PubSub,
        watches: Watches,
        subscriptions: SubscriptionRegistry,
        notifier: Notifier,
        keys: dict[str, SigningKeys],
        graph: GraphRules,
    ) -> None:
        self._world = world
        self._watches = watches
        self._subscriptions = subscriptions
        self._notifier = notifier
        self._pubsub = pubsub
        self._keys = keys
        self._graph = graph
        self._stranger: rsa.RSAPrivateKey | None = None

    def register(self, actions: Actions) -> None:
        """Add the actions to the table."""
        world = self._world
        subscription = "/control/subscriptions/{subscription}"
        actions.add("faults.add", "POST", "/control/faults", lambda body: world.faults.add(Fault(**body)).model_dump())
        actions.add(
            "faults.list", "GET", "/control/faults", lambda _body: [rule.model_dump() for rule in world.faults.rules()]
        )
        actions.add("faults.clear", "DELETE", "/control/faults", lambda _body: {"removed": world.faults.remove()})
        actions.add(
            "faults.remove",
            "DELETE",
            "/control/faults/{id}",
            lambda body: {"removed": world.faults.remove(int(body["id"]))},
        )
        actions.add("calls.list", "GET", "/control/calls", self.calls)
        actions.add("calls.count", "GET", "/control/calls/counts", self.call_counts)
        actions.add("calls.reset", "DELETE", "/control/calls", self.reset_calls)
        actions.add("clock.get", "GET", "/control/clock", self.clock)
        actions.add("clock.move", "POST", "/control/clock", self.move_clock)
        actions.add("settings.get", "GET", "/control/settings", lambda _body: world.knobs.model_dump())
        actions.add("settings.update", "PATCH", "/control/settings", self.set_knobs)
        actions.add("subscriptions.list", "GET", "/control/subscriptions", self.subscriptions)
        actions.add("subscriptions.silence", "POST", f"{subscription}/silence", self.silence)
        actions.add("subscriptions.lifecycle", "POST", f"{subscription}/lifecycle", self.lifecycle)
        actions.add("subscriptions.remove", "DELETE", subscription, self.remove_subscription)
        actions.add("watches.list", "GET", "/control/watches", self.watches)
        actions.add("watches.silence", "POST", "/control/accounts/{account}/watch/silence", self.silence_watch)
        actions.add("watches.remove", "DELETE", "/control/accounts/{account}/watch", self.remove_watch)
        actions.add("pushes.list", "GET", "/control/pushes", self.pushes)
        actions.add("pushes.idle", "GET", "/control/pushes/idle", self.idle)
        actions.add("pushes.forget", "DELETE", "/control/pushes", self.forget_pushes)
        actions.add("pubsub.get", "GET", "/control/pubsub", lambda _body: self._pubsub_shown())
        actions.add("pubsub.set", "PATCH", "/control/pubsub", self.set_pubsub)
        actions.add("pubsub.forge", "POST", "/control/pubsub/forge", self.forge)
        actions.add("keys.rotate", "POST", "/control/keys/rotate", self.rotate)
        actions.add("reset", "POST", "/control/reset", self.reset)

    # Calls, clock, settings

    def calls(self, body: JSON) -> list[JSON]:
        """Return the newest calls: filters ``endpoint``, ``account`` (patterns), ``status``, ``after``; ``limit``."""
        return self._world.calls.find(
            endpoint=str(body.get("endpoint", "*")),
            account=str(body.get("account", "*")),
            status=int(body.get("status", 0)),
            after=int(body.get("after", 0)),
            limit=int(body.get("limit", 1000)),
        )

    def call_counts(self, body: JSON) -> JSON:
        """Return counts of calls by the same filters, and the most Graph requests at once per mailbox."""
        counts = self._world.calls.counts(
            endpoint=str(body.get("endpoint", "*")),
            account=str(body.get("account", "*")),
            status=int(body.get("status", 0)),
        )
        return {**counts, "mostAtOnce": dict(self._graph.most_at_once)}

    def reset_calls(self, _body: JSON) -> JSON:
        """Forget all calls."""
        self._world.calls.reset()
        self._graph.most_at_once.clear()
        return {}

    def clock(self, _body: JSON) -> JSON:
        """Return the simulated time."""
        clock = self._world.clock
        return {"now": clock.now().isoformat(), "seconds": clock.seconds(), "offsetSeconds": clock.offset_seconds}

    def move_clock(self, body: JSON) -> JSON:
        """Move the clock: ``advanceSeconds``, or ``to`` a time, or ``offsetSeconds``."""
        clock = self._world.clock
        if "to" in body:
            clock.move_to(parse_time(str(body["to"])))
        elif "offsetSeconds" in body:
            clock.offset_seconds = float(body["offsetSeconds"])
        else:
            clock.advance(float(body.get("advanceSeconds", 0)))
        self._world.later.run_due()
        return self.clock(body)

    def set_knobs(self, body: JSON) -> JSON:
        """Change settings; the unknown is refused and nothing changed."""
        changed = Knobs(**{**self._world.knobs.model_dump(), **body})
        for name in body:
            setattr(self._world.knobs, name, getattr(changed, name))
        return self._world.knobs.model_dump()

    # Subscriptions and watches

    def subscriptions(self, body: JSON) -> list[JSON]:
        """Return Graph's living subscriptions, of one account or of all."""
        wanted = body.get("account", "")
        return [
            _shown(subscription)
            for subscription in self._subscriptions.every()
            if wanted in ("", subscription.account.address)
        ]

    def silence(self, body: JSON) -> JSON:
        """Silence a living subscription, or end its silence (``silent`` false)."""
        subscription = self._subscription(body)
        subscription.is_silenced = flag(body, "silent", default=True)
        return _shown(subscription)

    def lifecycle(self, body: JSON) -> JSON:
        """Send a lifecycle notification: ``event``."""
        event = str(body.get("event", ""))
        if event not in _LIFECYCLE:
            raise ControlError(400, f"event is one of {sorted(_LIFECYCLE)}")
        return {"sent": self._notifier.lifecycle(self._subscription(body), event)}

    def remove_subscription(self, body: JSON) -> JSON:
        """Remove a subscription without a lifecycle notification."""
        subscription = self._subscription(body)
        self._subscriptions.remove(subscription)
        return {"removed": subscription.id}

    def _subscription(self, body: JSON) -> Subscription:
        found = self._subscriptions.find(str(body.get("subscription", "")))
        if found is None:
            raise ControlError(404, "no such subscription")
        return found

    def watches(self, _body: JSON) -> list[JSON]:
        """Return Gmail's living watches."""
        return [
            {
                "account": watch.account.address,
                "labelIds": sorted(watch.labels),
                "expiresAtMs": watch.expires_ms,
                "isSilenced": watch.is_silenced,
            }
            for watch in self._watches.every()
        ]

    def silence_watch(self, body: JSON) -> JSON:
        """Silence a living watch, or end its silence (``silent`` false)."""
        watch = self._watches.of(account_of(self._world, body))
        if watch is None:
            raise ControlError(404, "the account has no watch")
        watch.is_silenced = flag(body, "silent", default=True)
        return {"isSilenced": watch.is_silenced}

    def remove_watch(self, body: JSON) -> JSON:
        """Remove a watch silently."""
        self._watches.remove(account_of(self._world, body))
        return {}

    # Pushes

    def pushes(self, body: JSON) -> JSON:
        """Return the newest POSTs to notification URLs, the counts of all, and how many items wait."""
        limit = int(body.get("limit", 1000))
        pushes = self._world.pushes
        return {
            "pending": pushes.pending(),
            "counts": dict(pushes.counts),
            "log": list(pushes.log)[-limit:] if limit else [],
        }

    async def idle(self, body: JSON) -> JSON:
        """Wait until nothing is on its way any more, ``seconds`` at most."""
        deadline = time.monotonic() + min(float(body.get("seconds", 10)), 300)
        while self._world.pushes.pending() and time.monotonic() < deadline:  # noqa: ASYNC110 - many lanes, one look
            await asyncio.sleep(0.02)
        return {"idle": not self._world.pushes.pending(), "pending": self._world.pushes.pending()}

    def forget_pushes(self, _body: JSON) -> JSON:
        """Drop everything that waits, and the log."""
        self._world.pushes.forget()
        return {}

    def set_pubsub(self, body: JSON) -> JSON:
        """Change where and under which identity Pub/Sub pushes: ``endpoint``, ``audience``, ``serviceAccount``."""
        self._pubsub.endpoint = str(body.get("endpoint", self._pubsub.endpoint))
        self._pubsub.audience = str(body.get("audience", self._pubsub.audience))
        self._pubsub.service_account = str(body.get("serviceAccount", self._pubsub.service_account))
        return self._pubsub_shown()

    def _pubsub_shown(self) -> JSON:
        return {
            "endpoint": self._pubsub.endpoint,
            "audience": self._pubsub.audience,
            "serviceAccount": self._pubsub.service_account,
        }

    def forge(self, body: JSON) -> JSON:
        """Return a push's token and body, unsent: ``claims`` overrides, ``wrongKey``, ``address``, ``historyId``."""
        if flag(body, "wrongKey") and self._stranger is None:
            self._stranger = rsa.generate_private_key(65537, 2048)
        key = self._stranger if flag(body, "wrongKey") else None
        message = self._pubsub.message(str(body.get("address", "nobody@example.test")), int(body.get("historyId", 1)))
        return {"token": self._pubsub.token(body.get("claims"), key=key), "body": message}

    def rotate(self, body: JSON) -> JSON:
        """Give a provider a new signing key."""
        provider = str(body.get("provider", ""))
        if provider not in self._keys:
            raise ControlError(400, "provider is ms365 or googlews")
        self._pubsub.forget_token()
        return {"keyId": self._keys[provider].rotate()}

    def reset(self, _body: JSON) -> JSON:
        """End all faults, forget calls and pushes, and put clock and settings back; accounts and mail stay."""
        self._world.faults.remove()
        self.reset_calls({})
        self._world.pushes.forget()
        self._world.clock.offset_seconds = 0.0
        return self.set_knobs(Knobs().model_dump())


def _shown(subscription: Subscription) -> JSON:
    return {
        "id": subscription.id,
        "account": subscription.account.address,
        "resource": subscription.resource,
        "folderId": subscription.folder,
        "changeType": subscription.change_type,
        "notificationUrl": subscription.notification_url,
        "lifecycleNotificationUrl": subscription.lifecycle_url,
        "clientState": subscription.client_state,
        "expirationDateTime": expiry_text(subscription.expires_at),
        "isImmutable": subscription.is_immutable,
        "isSilenced": subscription.is_silenced,
    }
