"""Gmail's watch: one per mailbox, announced at once, ended by the clock."""

import re
import time
from dataclasses import dataclass

from simulator.accounts import Account
from simulator.google.errors import api_error
from simulator.google.gmail import READ, USER, mailbox_of
from simulator.google.pubsub import PubSub
from simulator.http import Call, Operations, Reply
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.gmail_mail import HistoryRecord
from simulator.mailboxes.mailbox import MailboxError
from simulator.state import World

_FIELDS = ("topicName", "labelIds", "labelFilterBehavior", "labelFilterAction")
_TOPIC = re.compile(r"projects/[a-z0-9.:-]+/topics/[A-Za-z0-9._~+%-]+")


@dataclass(slots=True)
class Watch:
    """A watch on a mailbox; no labels means all. A silenced one lives on and sends nothing."""

    account: Account
    topic: str
    labels: frozenset[str]
    is_exclusion: bool
    expires_ms: int
    is_silenced: bool = False
    last_sent: float = 0.0

    def concerns(self, record: HistoryRecord) -> bool:
        """Return whether a change touches the watched labels."""
        if not self.labels:
            return True
        return not self.labels & record.concerns() if self.is_exclusion else bool(self.labels & record.concerns())


class Watches:
    """All watches, by account."""

    def __init__(self, world: World, pubsub: PubSub, topic: str) -> None:
        self._world = world
        self._pubsub = pubsub
        self._topic = topic
        self._watches: dict[str, Watch] = {}

    def register(self, operations: Operations) -> None:
        """Add the operations to the provider's table."""
        operations.add("gmail.watch", "POST", f"{USER}/watch", self.watch, scopes=READ, units=100)
        operations.add("gmail.stop", "POST", f"{USER}/stop", self.stop, scopes=READ, units=50)

    def watch(self, call: Call) -> Reply:
        """Begin or renew the mailbox's watch, and send one notification at once."""
        body, account, mailbox = call.fields(_FIELDS), call.account, mailbox_of(call)
        assert account is not None  # noqa: S101  the token has an account
        topic = str(body.get("topicName") or "")
        if not _TOPIC.fullmatch(topic):
            raise api_error(
                400, "invalidArgument", "Invalid topicName does not match projects/<project>/topics/<topic>"
            )
        if topic != self._topic:
            raise api_error(
                403,
                "forbidden",
                f"Error sending test message to Cloud PubSub {topic} : User not authorized to perform this action.",
            )
        labels = self._labels(mailbox, body.get("labelIds") or [])
        how = str(body.get("labelFilterBehavior") or body.get("labelFilterAction") or "include").lower()
        if how not in {"include", "exclude"}:
            raise api_error(400, "invalidArgument", f"Invalid value at 'labelFilterBehavior': {how}")
        expires_ms = self._world.clock.milliseconds() + self._world.knobs.watch_seconds * 1000
        watch = Watch(account, topic, labels, how == "exclude", expires_ms)
        self.put(watch)
        self._announce(watch, mailbox)
        return Reply(200, {"historyId": str(mailbox.history_id), "expiration": str(expires_ms)})

    def _labels(self, mailbox: GmailMailbox, names: list[str]) -> frozenset[str]:
        try:
            return frozenset(mailbox.label(str(name)) for name in names)
        except MailboxError as error:
            raise api_error(400, "invalidArgument", f"Invalid label: {error}") from error

    def stop(self, call: Call) -> Reply:
        """End the mailbox's watch; there need not be one."""
        if call.account:
            self._watches.pop(call.account.id, None)
        return Reply(204)

    def changed(self, account: Account, record: HistoryRecord) -> None:
        """Announce a change, if it concerns a living watch."""
        watch = self.of(account)
        if watch and not watch.is_silenced and watch.concerns(record) and isinstance(account.mailbox, GmailMailbox):
            self._announce(watch, account.mailbox)

    def of(self, account: Account) -> Watch | None:
        """Return an account's living watch."""
        watch = self._watches.get(account.id)
        return watch if watch and watch.expires_ms > self._world.clock.milliseconds() else None

    def put(self, watch: Watch) -> None:
        """Keep a watch; the account's former one ends."""
        self._watches[watch.account.id] = watch

    def every(self) -> list[Watch]:
        """Return all living watches."""
        return [watch for watch in self._watches.values() if watch.expires_ms > self._world.clock.milliseconds()]

    def remove(self, account: Account) -> None:
        """Remove an account's watch silently."""
        self._watches.pop(account.id, None)

    def _announce(self, watch: Watch, mailbox: GmailMailbox) -> None:
        most = self._world.knobs.gmail_max_events_per_second
        now = time.monotonic()
        if most and now - watch.last_sent < 1 / most:
            self._world.pushes.counts["notify.gmail.surplus"] += 1
            return
        watch.last_sent = now
        self._pubsub.publish(watch.account, mailbox.history_id)
