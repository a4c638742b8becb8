"""The pushing side of Pub/Sub: signed, wrapped, again until acknowledged."""

import base64
import json
import time
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from simulator.accounts import Account
from simulator.google.accounts import ISSUER
from simulator.google.pulling import PullSubscription
from simulator.http import JSON
from simulator.keys import SigningKeys
from simulator.push import Rules
from simulator.spoil import spoiled
from simulator.state import World

ACKNOWLEDGED = frozenset({102, 200, 201, 202, 204})
_TOKEN_SECONDS = 3600
_TOKEN_KEPT_SECONDS = 600


class PubSub:
    """The topic with one push subscription, beside which a pull subscription may stand.

    Attributes:
        endpoint: Where to push; empty keeps nothing and drops all.
        pulled: The pull subscription of the same topic.
        audience: The token's audience; empty is the endpoint itself, Pub/Sub's own default.
        service_account: The address in the token.
    """

    def __init__(
        self,
        world: World,
        keys: SigningKeys,
        pulled: PullSubscription,
        *,
        endpoint: str,
        audience: str,
        service_account: str,
        subscription: str,
    ) -> None:
        self._world = world
        self._keys = keys
        self.pulled = pulled
        self.endpoint = endpoint
        self.audience = audience
        self.service_account = service_account
        self._subscription = subscription
        # Microseconds since the epoch: ids keep rising after a restart of the program.
        self._message_id = time.time_ns() // 1000
        self._token = ""
        self._token_for: tuple[str, str, str] | None = None
        self._token_until = 0.0

    def publish(self, account: Account, history_id: int) -> None:
        """Announce that a mailbox is at a history id, unless a fault drops, doubles or delays the push."""
        item = self.message(account.address, history_id)
        self.pulled.keep(item["message"])
        if not self.endpoint:
            self._world.pushes.counts["notify.gmail.no_endpoint"] += 1
            return
        for wait in spoiled(self._world, "notify.gmail", account):
            if wait:
                self._world.pushes.put_later(wait, "notify.gmail", self.endpoint, item, self._rules)
            else:
                self._world.pushes.put("notify.gmail", self.endpoint, item, self._rules)

    def message(self, address: str, history_id: int) -> JSON:
        """Return the wrapped body of a push, in both spellings."""
        knobs = self._world.knobs
        shown: Any = str(history_id) if knobs.pubsub_history_id == "string" else history_id
        data = json.dumps({"emailAddress": address, "historyId": shown}, separators=(",", ":")).encode()
        encode = base64.urlsafe_b64encode if knobs.pubsub_base64 == "url" else base64.b64encode
        self._message_id += 1
        now = self._world.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        ids = {"messageId": str(self._message_id), "message_id": str(self._message_id)}
        return {
            "message": {"data": encode(data).decode(), **ids, "publishTime": now, "publish_time": now},
            "subscription": self._subscription,
        }

    def token(self, overrides: JSON | None = None, *, key: rsa.RSAPrivateKey | None = None) -> str:
        """Return a signed token; overridden claims (None removes one) and a foreign key make forgeries."""
        now = int(self._world.clock.seconds())
        claims: JSON = {
            "aud": self.audience or self.endpoint,
            "azp": "113774264463038321964",
            "email": self.service_account,
            "email_verified": True,
            "exp": now + _TOKEN_SECONDS,
            "iat": now,
            "iss": ISSUER,
            "sub": "113774264463038321964",
        }
        claims.update(overrides or {})
        return self._keys.sign({name: value for name, value in claims.items() if value is not None}, key=key)

    def forget_token(self) -> None:
        """Sign a new token for the next push, for example after a rotation of the keys."""
        self._token_for = None

    def _current_token(self) -> str:
        wanted = (self.endpoint, self.audience, self.service_account)
        now = self._world.clock.seconds()
        if self._token_for != wanted or not now < self._token_until <= now + _TOKEN_KEPT_SECONDS:
            self._token, self._token_for, self._token_until = self.token(), wanted, now + _TOKEN_KEPT_SECONDS
        return self._token

    def _composed(self, items: Sequence[Any]) -> tuple[bytes, dict[str, str]]:
        headers = {
            "authorization": f"Bearer {self._current_token()}",
            "content-type": "application/json",
            "user-agent": "CloudPubSub-Google (+https://developers.google.com/)",
            "from": "noreply@google.com",
        }
        return json.dumps(items[0], separators=(",", ":")).encode(), headers

    def _rules(self) -> Rules:
        knobs = self._world.knobs
        return Rules(
            compose=self._composed,
            accepted=ACKNOWLEDGED,
            batch_max=1,
            wait_seconds=0.0,
            timeout_seconds=lambda _attempts: knobs.pubsub_ack_deadline_seconds,
            concurrency=knobs.push_concurrency,
            retry_first_seconds=min(0.1, knobs.push_retry_first_seconds),
            retry_max_seconds=knobs.push_retry_max_seconds,
            give_up_seconds=knobs.pubsub_retention_seconds,
            pending_max=knobs.push_pending_max,
        )
