"""TLS to receivers: their certificate is always verified, and an endpoint may have one of ours to show."""

import os
import ssl
from pathlib import Path

from services.egress.faults import EgressError, Fault
from services.meshkit.secret import Secret


def trust(authority: Path | None) -> ssl.SSLContext:
    """Return a context that verifies the host's name and its certificate.

    Args:
        authority: A certificate authority to trust beside the system's, PEM.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if authority is not None:
        context.load_verify_locations(authority)
    return context


def with_certificate(authority: Path | None, certificate: str, key: Secret) -> ssl.SSLContext:
    """Return a context that shows a client certificate. It costs about a megabyte: keep one for each endpoint.

    Args:
        authority: A certificate authority to trust beside the system's, PEM.
        certificate: The certificate, followed by its intermediates, PEM.
        key: Its private key, PEM, without a passphrase.

    Raises:
        EgressError: The texts are no certificate with its key.
    """
    context = trust(authority)
    # The ssl module loads keys from files only; this one is in memory, and no path leads to it from another process.
    file = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        os.write(file, f"{certificate}\n{key.reveal()}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{file}", password=_no_passphrase)
    except (ssl.SSLError, ValueError):
        raise EgressError(Fault.TLS_FAILED, "the client certificate and its key do not belong together") from None
    finally:
        os.close(file)
    return context


def _no_passphrase() -> str:
    """Refuse a key with a passphrase; without this, OpenSSL asks the terminal for it and waits."""
    raise ValueError("the key has a passphrase")
