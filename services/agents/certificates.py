"""TLS of the door: a certificate of the mesh on both sides, read again when the files change."""

import ssl
from functools import partial

from services.meshkit.identity.certificates import FileChanges, TlsFiles


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context of the door, which looks for changed files at each handshake, as servers of gRPC do.

    Raises:
        OSError: A file cannot be read, or holds no certificate, no key, or the key of another certificate.
    """
    changes, read = FileChanges(files), partial(_read, files)
    first = newest = read()

    def take_newest(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _first: ssl.SSLContext) -> None:
        nonlocal newest
        newest = changes.read_if_new(read) or newest
        connection.context = newest

    # OpenSSL asks after the client's first message, with or without a name in it.
    first.sni_callback = take_newest
    return first


def _read(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    # Without tickets, each connection shows a certificate, which the newest authority checks.
    context.num_tickets = 0
    return context
