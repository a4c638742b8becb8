"""The tree of folders of a Microsoft mailbox, and the log of its changes for delta queries."""

from collections import deque

from simulator.mailboxes.folders import LOG_MAX, ROOT, WELL_KNOWN, Folder, FolderChange
from simulator.mailboxes.mailbox import MailboxError


class FolderTree:
    """Folders by id; the mailbox adds the mail in them.

    Attributes:
        position: The newest position of the mailbox's logs.
        folder_number: How many folders there ever were; an id is never used again.
    """

    position: int
    folder_number: int
    folders: dict[str, Folder]
    folder_log: deque[FolderChange]
    _well_known: dict[str, Folder]

    def make_well_known(self) -> None:
        """Begin with the folders that every mailbox has."""
        self.position = self.folder_number = 0
        self.folders, self._well_known = {}, {}
        self.folder_log = deque(maxlen=LOG_MAX)
        self._make_folder("Top of Information Store", "", ROOT)
        for key, name in WELL_KNOWN.items():
            self._make_folder(name, self._well_known[ROOT].id, key)

    def folder_id(self, number: int) -> str:
        """Return the id that Graph shows for a folder."""
        raise NotImplementedError

    def free_name(self, name: str, parent: str) -> str:
        """Return a name that no folder below the parent has, with a number behind it where it is taken."""
        taken = {one.name.lower() for one in self.children(parent)}
        names = (name, *(f"{name}{number}" for number in range(1, len(taken) + 1)))
        return next(one for one in names if one.lower() not in taken)

    def folder(self, name: str) -> Folder:
        """Return a folder by id, well-known name, or display name path such as ``Inbox/Projects``.

        Raises:
            MailboxError: There is none.
        """
        found = self.folders.get(name) or self._well_known.get(name.lower()) or self._by_path(name)
        if found is None:
            raise MailboxError("not_found", f"no folder {name}")
        return found

    def children(self, parent: str) -> list[Folder]:
        """Return the folders directly below one."""
        return [folder for folder in self.folders.values() if folder.parent == parent]

    def add_folder(self, name: str, parent: str = ROOT) -> Folder:
        """Make a folder.

        Raises:
            MailboxError: There is no such parent, or it has a folder of that name.
        """
        above = self.folder(parent).id
        self._check_name(name, above)
        folder = self._make_folder(name, above, "")
        self.log_folder(folder)
        return folder

    def change_folder(self, folder: Folder, *, name: str = "", parent: str = "") -> None:
        """Give a folder another name or another parent; its messages keep their ids.

        Raises:
            MailboxError: There is no such parent, it lies below the folder, or it has a folder of that name.
        """
        above = self.folder(parent or folder.parent)
        name = name or folder.name
        if above.id in self.below(folder):
            raise MailboxError("invalid", "a folder cannot lie below itself")
        self._check_name(name, above.id, folder)
        folder.name, folder.parent = name, above.id
        self.log_folder(folder)

    def folders_since(self, position: int) -> list[FolderChange]:
        """Return the newest change of each folder after a position of the log, oldest first."""
        newest: dict[str, FolderChange] = {}
        for entry in self.folder_log:
            if entry.position > position:
                newest.pop(entry.folder, None)
                newest[entry.folder] = entry
        return list(newest.values())

    def below(self, folder: Folder) -> list[str]:
        """Return the ids of a folder and of all folders below it."""
        return [folder.id, *(one for child in self.children(folder.id) for one in self.below(child))]

    def _check_name(self, name: str, parent: str, besides: Folder | None = None) -> None:
        if any(one.name.lower() == name.lower() for one in self.children(parent) if one is not besides):
            raise MailboxError("exists", f"there is a folder {name} already")

    def log_folder(self, folder: Folder, *, is_deleted: bool = False) -> None:
        """Note that a folder was made, changed or deleted for good."""
        self.position += 1
        self.folder_log.append(FolderChange(self.position, folder.id, is_deleted))

    def path(self, folder: Folder) -> str:
        """Return a folder's display names from the top, joined by slashes."""
        above = self.folders.get(folder.parent)
        return folder.name if above is None or above.well_known == ROOT else f"{self.path(above)}/{folder.name}"

    def _by_path(self, name: str) -> Folder | None:
        return next(
            (folder for folder in self.folders.values() if folder.name and self.path(folder).lower() == name.lower()),
            None,
        )

    def _make_folder(self, name: str, parent: str, well_known: str) -> Folder:
        self.folder_number += 1
        folder = Folder(self.folder_id(self.folder_number), name, parent, well_known)
        self.folders[folder.id] = folder
        if well_known:
            self._well_known[well_known] = folder
        return folder
