"""The data directory of one installation: the paths of the files that are kept between runs."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from services.meshkit.text import ACTING
from stack.certificates import MeshCertificates
from stack.errors import DirectoryLockedError, ForeignDirectoryError, UnsuitablePathError
from stack.files import PRIVATE_FILE_MODE, private_folder

DEFAULT_FOLDER = Path(".mailmesh")
LOCK_POLL_SECONDS = 0.2
LOCK_SECONDS = 60.0
# A directory with one of these is ours: every start, restore and simulation makes one of them first.
_MARKS = ("lock", "environments", "restored", "vault.keys")
# An operator may lay these into an empty directory before the first start.
_PROVIDED = ("certificates", "admin.key", "delivery.keys", "workflows.keys")
# Of the file system, of a volume's snapshots, and of a first start that was killed.
_OF_A_DISK = ("lost+found", ".snapshot")
_LEFT_OVER = ".initdb-"


@dataclass(frozen=True)
class DataDirectory:
    """Paths in a data directory.

    Attributes:
        root: The directory itself. It is made by `prepare`.
    """

    root: Path

    def prepare(self) -> None:
        """Makes the folders. Safe to call again: yes.

        Raises:
            UnsuitablePathError: The directory's path has a character that acts, or is no UTF-8.
            ForeignDirectoryError: The directory has files of other programs.
        """
        if ACTING.search(str(self.root)):
            raise UnsuitablePathError(f"{self.root} has a character that files of settings cannot hold: rename it")
        self._refuse_foreign()
        self.root.mkdir(parents=True, exist_ok=True)
        # Passage only: PostgreSQL may have to run as another user, and all that is private has its own mode.
        self.root.chmod(0o711)
        for folder in (self.logs, self.environments):
            private_folder(folder)

    def _refuse_foreign(self) -> None:
        """Refuses a directory such as /tmp or a home, whose mode is not ours to change."""
        if not self.root.is_dir() or any((self.root / mark).exists() for mark in _MARKS):
            return
        names = {path.name for path in self.root.iterdir()}.difference(_PROVIDED, _OF_A_DISK)
        if any(not name.startswith(_LEFT_OVER) for name in names):
            advice = "name an empty directory, or one of mailmesh, with --data"
            raise ForeignDirectoryError(f"{self.root} has files of other programs: {advice}")

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Keeps other processes from using the directory during a block, and beyond it while a child has the lock open.

        Yields:
            The lock's file descriptor. A process that inherits it keeps the lock too.

        Raises:
            DirectoryLockedError: Another process has it.
            ForeignDirectoryError: The directory has files of other programs.
        """
        self._refuse_foreign()
        with _open_lock(self.root / "lock") as file:
            deadline = time.monotonic() + LOCK_SECONDS
            while not _try_to_lock(file):
                file.seek(0)
                owner = file.read().strip()
                is_stopping = owner.isdigit() and not psutil.pid_exists(int(owner))
                if is_stopping and time.monotonic() < deadline:
                    # It was killed, and its programs are stopping: a matter of seconds.
                    time.sleep(LOCK_POLL_SECONDS)
                    continue
                message = f"{self.root} is in use by process {owner}: stop it, or name another directory with --data"
                raise DirectoryLockedError(message)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield file.fileno()

    @property
    def ready_file(self) -> Path:
        """Present while the stack is ready: addresses, files, process ids."""
        return self.root / "ready.json"

    @property
    def admin_key(self) -> Path:
        """The first admin key."""
        return self.root / "admin.key"

    @property
    def certificates(self) -> MeshCertificates:
        """The mesh's authority and certificates."""
        return MeshCertificates(self.root / "certificates")

    @property
    def vault_keys(self) -> Path:
        """TokenVault's key-encryption keys."""
        return self.root / "vault.keys"

    @property
    def delivery_keys(self) -> Path:
        """Delivery's keys, which seal the signing keys of endpoints."""
        return self.root / "delivery.keys"

    @property
    def ingest_keys(self) -> Path:
        """Ingest's keys, which seal the private keys of certificates for resource data."""
        return self.root / "ingest.keys"

    @property
    def workflows_keys(self) -> Path:
        """The keys of Workflows, which seal the states of runs."""
        return self.root / "workflows.keys"

    @property
    def sealing_keys(self) -> tuple[Path, ...]:
        """The files of keys of all services that seal."""
        return (self.vault_keys, self.delivery_keys, self.ingest_keys, self.workflows_keys)

    @property
    def restored(self) -> Path:
        """Present from a restore until the next start has settled what the backup left open."""
        return self.root / "restored"

    @property
    def ports(self) -> Path:
        """The ports of the last run, so that addresses stay the same."""
        return self.root / "ports.json"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's cluster."""
        return self.root / "postgres"

    @property
    def postgres_password(self) -> Path:
        """The superuser's password."""
        return self.root / "postgres.password"

    @property
    def database_passwords(self) -> Path:
        """The services' database passwords."""
        return self.root / "database-passwords.json"

    @property
    def redis(self) -> Path:
        """Redis' folder; nothing in it matters."""
        return self.root / "redis"

    @property
    def run(self) -> Path:
        """Sockets, if the path is short enough for them."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """A log file for each program."""
        return self.root / "logs"

    @property
    def simulator(self) -> Path:
        """The state of the simulated providers, tokens included."""
        return self.root / "simulator.json"

    @property
    def environments(self) -> Path:
        """The variables of each program, secrets included."""
        return self.root / "environments"

    @property
    def wal_archiver(self) -> Path:
        """The log and the variables of the receiver of the write-ahead log."""
        return self.root / "wal-archiver"

    @property
    def edge(self) -> Path:
        """Envoy's configuration, `envoy.yaml`, and the files that it names."""
        return self.root / "edge"


def _open_lock(path: Path) -> IO[str]:
    """Open the lock for its owner alone: another user who may read it may lock it, and keep the mesh from starting."""
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, PRIVATE_FILE_MODE), "a+")
    os.fchmod(file.fileno(), PRIVATE_FILE_MODE)
    return file


def _try_to_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
