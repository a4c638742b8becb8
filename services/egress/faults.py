"""Failures of a request to a receiver, without an answer."""

import errno
import ssl
from enum import Enum
from typing import Final

import aiohttp


class Fault(Enum):
    """The cause of a request that got no answer. The value is recorded with the attempt."""

    URL_REFUSED = "url_refused"
    """The URL breaks a rule."""
    ADDRESS_REFUSED = "address_refused"
    """The address is not public, and not in one of the operator's networks that receivers may be in."""
    NAME_UNRESOLVED = "name_unresolved"
    """The name server knows no address, or did not answer."""
    UNREACHABLE = "unreachable"
    """No connection was made."""
    CERTIFICATE_REFUSED = "certificate_refused"
    """The receiver's certificate is not for the host's name, has expired, or comes from an unknown authority."""
    TLS_FAILED = "tls_failed"
    """No encrypted connection was made, for another reason than the receiver's certificate."""
    CONNECTION_LOST = "connection_lost"
    """The connection ended before an answer. In TLS 1.3 a missing client certificate looks like this."""
    ANSWER_INVALID = "answer_invalid"
    """The answer is not HTTP, or its headers are too large."""
    TIMED_OUT = "timed_out"
    """The receiver did not answer in time."""
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a cause
    """The token endpoint of the endpoint's client credentials refused them, or its answer has no token."""
    TOKEN_UNAVAILABLE = "token_unavailable"  # noqa: S105 - a cause
    """The token endpoint did not answer, or is overloaded."""
    MACHINE_BUSY = "machine_busy"
    """This machine lacks files, memory, ports or threads: no fault of the receiver, and not to be counted as one."""


SENTENCES = {
    Fault.URL_REFUSED: "The URL is not allowed; change the endpoint's URL.",
    Fault.ADDRESS_REFUSED: "The host's address is not public; the operator can allow its network.",
    Fault.NAME_UNRESOLVED: "The host's name has no address; check the name and its DNS records.",
    Fault.UNREACHABLE: "The host did not accept a connection; check its port and its firewall.",
    Fault.CERTIFICATE_REFUSED: "The host's certificate is not valid for its name; renew it, with its intermediates.",
    Fault.TLS_FAILED: "No encrypted connection was possible; offer TLS 1.2 or later at this port.",
    Fault.CONNECTION_LOST: "The host closed the connection without an answer; it may demand a client certificate.",
    Fault.ANSWER_INVALID: "The answer was not HTTP/1.1, or its headers were too large.",
    Fault.TIMED_OUT: "The host did not answer in time; answer first and process later.",
    Fault.TOKEN_REFUSED: "The token endpoint gave no token; check the client credentials and their scope.",
    Fault.TOKEN_UNAVAILABLE: "The token endpoint did not answer; check its address.",
    Fault.MACHINE_BUSY: "mailmesh could not open a connection; the delivery is retried.",
}
"""A sentence for each fault that says the remedy. None names an address: a name server may know those of the inside."""


class EgressError(Exception):
    """A request got no answer.

    Args:
        fault: The cause.
        detail: The rule that a URL or a header breaks, if there is one; no secret and no address in it.
    """

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(detail or SENTENCES[fault])
        self.fault = fault

    @property
    def message(self) -> str:
        """The sentence for the endpoint's owner."""
        return str(self.args[0])


class DialRefused(OSError):  # noqa: N818 - named like the mesh's other refusals
    """A dial was refused before its first packet; an OSError, because aiohttp expects those from a dial.

    Args:
        fault: The cause.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


_OWN_ERRNOS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL))
# In this order: the later classes are bases of the earlier ones.
_FAULTS: Final[tuple[tuple[type[BaseException], Fault], ...]] = (
    (aiohttp.ClientConnectorCertificateError, Fault.CERTIFICATE_REFUSED),
    (aiohttp.ClientSSLError, Fault.TLS_FAILED),
    (ssl.SSLError, Fault.TLS_FAILED),
    (aiohttp.ClientConnectorDNSError, Fault.NAME_UNRESOLVED),
    (aiohttp.ClientConnectorError, Fault.UNREACHABLE),
    (aiohttp.ConnectionTimeoutError, Fault.UNREACHABLE),
    (TimeoutError, Fault.TIMED_OUT),
    (aiohttp.ServerConnectionError, Fault.CONNECTION_LOST),
    (OSError, Fault.CONNECTION_LOST),
)


def fault_of(exc: BaseException) -> Fault:
    """Return the fault that an exception of aiohttp, of the event loop or of a URL means."""
    inner = exc.os_error if isinstance(exc, aiohttp.ClientConnectorError) else exc
    if isinstance(inner, DialRefused):
        return inner.fault
    if isinstance(inner, OSError) and inner.errno in _OWN_ERRNOS:
        return Fault.MACHINE_BUSY
    return next((fault for kind, fault in _FAULTS if isinstance(exc, kind)), Fault.ANSWER_INVALID)
