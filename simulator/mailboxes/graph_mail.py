"""A mail in a Microsoft mailbox, and its changes."""

from dataclasses import dataclass, field
from typing import Any, Literal

from simulator.mailboxes.mailbox import Mail


@dataclass(slots=True, kw_only=True)
class GraphMail(Mail):
    """A mail in a folder.

    Attributes:
        folder: Id of its folder.
        moves: Part of the default id, so that this changes with every move.
        home: Folder it was in before it went to Deleted Items.
        fields: The fields that a draft was written from.
        is_leaving: It was sent and still waits in Drafts until transport takes it.
        properties: Extended properties by their normalized id.
    """

    folder: str
    moves: int = 0
    categories: list[str] = field(default_factory=list)
    importance: str = "normal"
    is_flagged: bool = False
    home: str = ""
    fields: dict[str, Any] | None = None
    is_flag_complete: bool = False
    classification: str = "focused"
    is_leaving: bool = False
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def flag_status(self) -> str:
        """The follow-up flag: notFlagged, flagged or complete."""
        if self.is_flag_complete:
            return "complete"
        return "flagged" if self.is_flagged else "notFlagged"

    def property_list(self) -> list[dict[str, str]]:
        """Return the extended properties that clients have set."""
        return [{"id": name, "value": value} for name, value in self.properties.items()]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a mail, for notifications; ``moves`` and ``version`` are those at the time of the change."""

    kind: Literal["created", "updated", "deleted"]
    mail: GraphMail
    folder: str
    moves: int
    version: int
