"""The coverage of a tenant's subscriptions: folders or labels, kinds of change, and the time since when."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from services.providers.names import GOOGLEWS

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Coverage:
    """The watches of one tenant.

    Args:
        provider: "ms365" or "googlews".
        watches: The watches of the subscriptions. Without any, each reported change counts as covered: Ingest accepted
            it.
        folders: The ids of folders by the names that watches use for them; an id maps to itself, and a name whose
            folder could not be read to "".
        listed: The ids of folders whose first listing is complete: an unknown message in them is new.
        is_all_listed: Whether the first listing of every folder is complete.
        has_draft_events: Whether drafts make events.
    """

    provider: str
    watches: Sequence[item_pb2.Watch] = ()
    folders: Mapping[str, str] = field(default_factory=dict)
    listed: Collection[str] = ()
    is_all_listed: bool = False
    has_draft_events: bool = False

    @property
    def is_all_mail(self) -> bool:
        """Whether a subscription covers every folder or label, or no subscription limits them."""
        return not self.watches or any(self._is_all(watch) for watch in self.watches)

    @property
    def label_ids(self) -> frozenset[str]:
        """The watched labels; meaningful only when not all mail is watched."""
        return frozenset(label for watch in self.watches for label in watch.label_ids)

    def covers(self, folder_id: str, label_ids: Iterable[str]) -> bool:
        """Return whether a message with this folder or these labels is watched; an unknown folder counts as watched."""
        return not self.watches or any(True for _ in self._covering(folder_id, label_ids))

    def covering(self, folder_id: str, label_ids: Iterable[str]) -> tuple[str, ...]:
        """Return our ids of the subscriptions that cover a message in this folder or with these labels."""
        return tuple(sorted(watch.subscription_id for watch in self._covering(folder_id, label_ids)))

    def allows(self, event_type: str) -> bool:
        """Return whether a subscription asks for this kind of change."""
        kind = event_type.removeprefix("mail.")
        return (
            kind == "enriched"
            or not self.watches
            or any(kind in watch.change_types or not watch.change_types for watch in self.watches)
        )

    def is_older(self, folder_id: str, mail_received_at: datetime | None) -> bool:
        """Return whether an unknown message arrived before coverage began.

        Providers cut times to the second, so the beginning is cut, too.
        """
        if folder_id in self.listed or mail_received_at is None:
            return False
        return mail_received_at < self.begins_at(folder_id).replace(microsecond=0)

    def begins_at(self, folder_id: str = "") -> datetime:
        """Return the time when coverage of a folder began, or of the mailbox."""
        known = [watch for watch in self.watches if watch.HasField("covered_from")]
        own = [watch for watch in known if self._is_all(watch) or self._folder(watch) == folder_id]
        times = [watch.covered_from.ToDatetime(UTC) for watch in own or known]
        return min(times, default=_BEGINNING)

    def _covering(self, folder_id: str, label_ids: Iterable[str]) -> Iterable[item_pb2.Watch]:
        labels = frozenset(label_ids)
        for watch in self.watches:
            is_there = (
                labels & frozenset(watch.label_ids) if self.provider == GOOGLEWS else self._holds(watch, folder_id)
            )
            if self._is_all(watch) or is_there:
                yield watch

    def _holds(self, watch: item_pb2.Watch, folder_id: str) -> bool:
        folder = self._folder(watch)
        return not folder_id or not folder or folder == folder_id

    def _folder(self, watch: item_pb2.Watch) -> str:
        return self.folders.get(watch.folder_id, watch.folder_id)

    @staticmethod
    def _is_all(watch: item_pb2.Watch) -> bool:
        return not watch.folder_id and not watch.label_ids
