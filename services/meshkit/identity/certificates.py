"""TLS of the mesh: every connection shows a certificate on both sides.

A mesh identity `<name>` is the URI `spiffe://mailmesh/<name>` in a certificate's alternative names; clients check the
server by the DNS name `<name>.mailmesh.internal` beside it, whatever address they dial.

Rotated certificates take effect by themselves: servers read files that have changed at the next handshake, channels
soon before a call.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar, cast

import grpc

from services.meshkit.settings import SettingsError

TRUST_DOMAIN = "mailmesh"
Read = TypeVar("Read")
_HOST_SUFFIX = ".mailmesh.internal"

logger = logging.getLogger(__name__)


class _TlsSettings(Protocol):
    """The part of `MeshSettings` that says where the files are."""

    @property
    def tls_cert(self) -> Path: ...
    @property
    def tls_key(self) -> Path: ...
    @property
    def tls_ca(self) -> Path: ...


@dataclass(frozen=True)
class TlsFiles:
    """The three files of a mesh identity, PEM.

    Args:
        certificate: The certificate, followed by its chain.
        key: Its private key.
        authority: The mesh's certificate authorities; more than one while the authority itself is rotated.
    """

    certificate: Path
    key: Path
    authority: Path

    @classmethod
    def of(cls, settings: _TlsSettings) -> "TlsFiles":
        """Take the paths from settings.

        Raises:
            SettingsError: A file is not there or cannot be read.
        """
        files = cls(settings.tls_cert, settings.tls_key, settings.tls_ca)
        faults = [f"{path} cannot be read" for path in files.paths if not _is_readable(path)]
        if faults:
            raise SettingsError(faults)
        return files

    @property
    def paths(self) -> tuple[Path, Path, Path]:
        """All three."""
        return self.certificate, self.key, self.authority


def host_name(name: str) -> str:
    """The DNS name by which a mesh identity's certificate is checked."""
    return f"{name}{_HOST_SUFFIX}"


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Credentials of a server that asks every client for a certificate of the mesh and picks up rotated files."""
    changes, read = FileChanges(files), partial(_server_configuration, files)
    return grpc.dynamic_ssl_server_credentials(
        read(),
        # gRPC asks at each handshake, from a thread of its own. None means "unchanged"; the stubs do not know that.
        cast("Callable[[], grpc.ServerCertificateConfiguration]", partial(changes.read_if_new, read)),
        require_client_authentication=True,
    )


def _server_configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(files.key.read_bytes(), files.certificate.read_bytes())], root_certificates=files.authority.read_bytes()
    )


def channel_credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    """Credentials of a client that shows its certificate and believes only the mesh's authority."""
    return grpc.ssl_channel_credentials(
        root_certificates=files.authority.read_bytes(),
        private_key=files.key.read_bytes(),
        certificate_chain=files.certificate.read_bytes(),
    )


class FileChanges:
    """Reads the files of an identity again when they have changed."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = self._stamps()

    def read_if_new(self, read: Callable[[], Read]) -> Read | None:
        """Return the result of reading, or None to keep the known one: nothing has changed, or a file is half-written.

        Args:
            read: Reads the files. Raises `OSError` when that cannot be done; it is asked again the next time.
        """
        try:
            stamps = self._stamps()
            if stamps == self._seen:
                return None
            made = read()
        except OSError as exc:
            logger.warning("mesh certificate cannot be read again: %s", exc)
            return None
        self._seen = stamps
        logger.info("mesh certificate read again")
        return made

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in (path.stat() for path in self._files.paths))


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False
