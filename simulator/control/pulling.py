"""The control of the pull subscription and of its service account's keys."""

from simulator.control.actions import Actions, flag
from simulator.google.pubsub import PubSub
from simulator.google.service_accounts import ServiceAccounts
from simulator.http import JSON


class PullControl:
    """Creates the pull subscription, shows it, and makes keys of the service account that may consume it."""

    def __init__(self, topic: PubSub, accounts: ServiceAccounts, consumer: str) -> None:
        self._topic = topic
        self._subscription = topic.pulled
        self._accounts = accounts
        self._consumer = consumer

    def register(self, actions: Actions) -> None:
        """Add the actions to the table."""
        actions.add("pull.get", "GET", "/control/pubsub/pull", lambda _body: self._subscription.shown())
        actions.add("pull.set", "PATCH", "/control/pubsub/pull", self.change)
        actions.add("pull.publish", "POST", "/control/pubsub/publish", self.publish)
        actions.add("pull.key", "POST", "/control/pubsub/key", self.key)
        actions.add(
            "pull.keys", "DELETE", "/control/pubsub/key", lambda _body: {"removed": self._accounts.remove_keys()}
        )

    def change(self, body: JSON) -> JSON:
        """Create or delete the subscription (``exists``), or refuse its consumer (``refused``)."""
        if "exists" in body:
            self._subscription.create(exists=flag(body, "exists"))
        if "refused" in body:
            self._subscription.consumers = set() if flag(body, "refused") else {self._consumer}
        return self._subscription.shown()

    def publish(self, body: JSON) -> JSON:
        """Publish to the pull subscription alone: ``address`` and ``historyId``, or any ``data`` (base64)."""
        message = self._topic.message(str(body.get("address", "nobody@example.test")), int(body.get("historyId", 1)))
        kept = message["message"] | ({"data": body["data"]} if "data" in body else {})
        self._subscription.keep(kept)
        return {"messageId": kept["messageId"]}

    def key(self, body: JSON) -> JSON:
        """Make a key of a service account (``address``; by default the one that may consume the subscription)."""
        return self._accounts.make_key(str(body.get("address", self._consumer)))
