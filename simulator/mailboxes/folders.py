"""Mail folders, and the log of changes that each keeps for delta queries."""

from collections import deque
from dataclasses import dataclass, field

from simulator.mailboxes.mailbox import Timeline

WELL_KNOWN = {
    "inbox": "Inbox",
    "drafts": "Drafts",
    "sentitems": "Sent Items",
    "deleteditems": "Deleted Items",
    "junkemail": "Junk Email",
    "archive": "Archive",
    "outbox": "Outbox",
    "conversationhistory": "Conversation History",
}
ROOT = "msgfolderroot"
LOG_MAX = 200_000


@dataclass(slots=True)
class Logged:
    """One entry of a folder's log."""

    position: int
    serial: int
    moves: int
    kind: str


@dataclass(frozen=True, slots=True)
class FolderChange:
    """One entry of the log of folders: a folder was made, changed or deleted for good."""

    position: int
    folder: str
    is_deleted: bool


@dataclass(slots=True)
class Folder:
    """A mail folder, its mails by time, and its log."""

    id: str
    name: str
    parent: str
    well_known: str = ""
    timeline: Timeline = field(default_factory=Timeline)
    log: deque[Logged] = field(default_factory=lambda: deque(maxlen=LOG_MAX))
