"""TLS of the mesh: every connection shows a certificate on both sides.

A mesh identity `<name>` is the URI `spiffe://mailmesh/<name>` in a certificate's alternative names; clients check the
server by the DNS name `<name>.mailmesh.internal` beside it, whatever address they dial.

Servers read their files again at each handshake when they have changed, so a rotated certificate takes effect by
itself. Clients read them when a channel is made: let certificates live longer than the time between restarts.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import grpc

from services.meshkit.settings import SettingsError

TRUST_DOMAIN = "mailmesh"
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
        """Takes the paths from settings.

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
    rotation = _Rotation(files)
    return grpc.dynamic_ssl_server_credentials(
        rotation.configuration(),
        # None means "unchanged"; the stubs do not know that.
        cast("Callable[[], grpc.ServerCertificateConfiguration]", rotation.changed_configuration),
        require_client_authentication=True,
    )


def channel_credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    """Credentials of a client that shows its certificate and believes only the mesh's authority."""
    return grpc.ssl_channel_credentials(
        root_certificates=files.authority.read_bytes(),
        private_key=files.key.read_bytes(),
        certificate_chain=files.certificate.read_bytes(),
    )


class FileChanges:
    """Tells when the files of an identity have changed."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = self._stamps()
        self._found = self._seen

    def are_new(self) -> bool:
        """Whether they have changed since `take`, or since the beginning. Raises `OSError` when one is not there."""
        self._found = self._stamps()
        return self._found != self._seen

    def take(self) -> None:
        """Says that what `are_new` found was read."""
        self._seen = self._found

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in (path.stat() for path in self._files.paths))


class _Rotation:
    """Reads the files again when they have changed. gRPC asks at each handshake, from a thread of its own."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._changes = FileChanges(files)

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """What the files say now."""
        return grpc.ssl_server_certificate_configuration(
            [(self._files.key.read_bytes(), self._files.certificate.read_bytes())],
            root_certificates=self._files.authority.read_bytes(),
        )

    def changed_configuration(self) -> grpc.ServerCertificateConfiguration | None:
        """What the files say, or None to go on with what is known. Half-written files wait for the next handshake."""
        try:
            if not self._changes.are_new():
                return None
            configuration = self.configuration()
        except OSError as exc:
            logger.warning("mesh certificate cannot be read again: %s", exc)
            return None
        self._changes.take()
        logger.info("mesh certificate read again")
        return configuration


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False
