"""Access to receivers that ask for more than a signature: a client certificate, and client credentials for tokens."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from services.egress.addresses import EgressRules
from services.egress.faults import EgressError
from services.egress.tls import with_certificate
from services.egress.urls import url_fault
from services.meshkit.errors import FieldInvalid
from services.meshkit.secret import Secret

MAX_CERTIFICATE, MAX_KEY = 32 * 1024, 16 * 1024
MAX_CLIENT_ID, MAX_CLIENT_SECRET, MAX_SCOPE = 500, 2000, 2000
_FIRST, _LAST = " ", "~"
"""The characters of RFC 6749, appendix A, for ids, secrets and scopes."""
CERTIFICATE: Final = "client_certificate"
CREDENTIALS: Final = "client_credentials"
FIELDS: Final = (CERTIFICATE, CREDENTIALS)


@dataclass(frozen=True)
class ClientCertificate:
    """A client certificate.

    Args:
        certificate: The certificate, followed by its intermediates, PEM.
        key: Its private key, PEM.
        ends_at: The end of its validity.
    """

    certificate: str
    key: Secret
    ends_at: datetime


@dataclass(frozen=True)
class ClientCredentials:
    """Client credentials of OAuth 2.0 (RFC 6749, section 4.4).

    Args:
        token_url: The address of the token endpoint.
        client_id: The client's id.
        client_secret: Its secret.
        scope: The scope to ask for; empty asks for none.
    """

    token_url: str
    client_id: str
    client_secret: Secret
    scope: str = ""


@dataclass(frozen=True)
class Access:
    """All that an endpoint shows to its receiver beside the signature and its own headers; each part may be None."""

    client_certificate: ClientCertificate | None = None
    client_credentials: ClientCredentials | None = None

    def __bool__(self) -> bool:
        return bool(self.client_certificate or self.client_credentials)


NO_ACCESS: Final = Access()


def certificate(asked: pb2.EndpointClientCertificate, now: datetime) -> ClientCertificate:
    """Check a client certificate.

    Raises:
        FieldInvalid: It is no certificate with its key, it is too long, or it has ended.
    """
    _bound(f"{CERTIFICATE}.certificate", asked.certificate, MAX_CERTIFICATE)
    _bound(f"{CERTIFICATE}.key", asked.key, MAX_KEY)
    try:
        ends_at = x509.load_pem_x509_certificate(asked.certificate.encode()).not_valid_after_utc
        with_certificate(None, asked.certificate, Secret(asked.key))
    except ValueError:
        raise FieldInvalid.of(f"{CERTIFICATE}.certificate", "must be a certificate in PEM") from None
    except EgressError:
        raise FieldInvalid.of(
            f"{CERTIFICATE}.key", "must be the certificate's private key in PEM, without a passphrase"
        ) from None
    if ends_at <= now:
        raise FieldInvalid.of(f"{CERTIFICATE}.certificate", "must not have ended")
    return ClientCertificate(asked.certificate, Secret(asked.key), ends_at)


def credentials(asked: pb2.EndpointClientCredentials, rules: EgressRules) -> ClientCredentials:
    """Check client credentials. The address is judged again when it is dialled.

    Raises:
        FieldInvalid: A value is missing, too long, or of other characters than RFC 6749 allows.
    """
    if fault := url_fault(asked.token_url, rules):
        raise FieldInvalid.of(f"{CREDENTIALS}.token_url", fault)
    _bound(f"{CREDENTIALS}.client_id", asked.client_id, MAX_CLIENT_ID)
    _bound(f"{CREDENTIALS}.client_secret", asked.client_secret, MAX_CLIENT_SECRET)
    if len(asked.scope) > MAX_SCOPE:
        raise FieldInvalid.of(f"{CREDENTIALS}.scope", f"must have at most {MAX_SCOPE} characters")
    for name in ("client_id", "client_secret", "scope"):
        if not all(_FIRST <= one <= _LAST for one in getattr(asked, name)):
            raise FieldInvalid.of(f"{CREDENTIALS}.{name}", "must have visible ASCII characters and spaces only")
    return ClientCredentials(asked.token_url, asked.client_id, Secret(asked.client_secret), asked.scope)


def shown(access: Access) -> dict[str, object]:
    """Return the values that callers see, by the names of the table's columns."""
    kept, tokens = access.client_certificate, access.client_credentials
    return {
        "certificate_ends_at": kept.ends_at if kept else None,
        "token_url": tokens.token_url if tokens else "",
    }


def written(access: Access) -> dict[str, list[str]]:
    """Return the form in which access is sealed. It holds secrets: never log it."""
    found: dict[str, list[str]] = {}
    if kept := access.client_certificate:
        found[CERTIFICATE] = [kept.certificate, kept.key.reveal(), kept.ends_at.isoformat()]
    if tokens := access.client_credentials:
        found[CREDENTIALS] = [tokens.token_url, tokens.client_id, tokens.client_secret.reveal(), tokens.scope]
    return found


def read(found: dict[str, list[str]]) -> Access:
    """Read the form that `written` returns."""
    kept = tokens = None
    if CERTIFICATE in found:
        text, key, ends_at = found[CERTIFICATE]
        kept = ClientCertificate(text, Secret(key), datetime.fromisoformat(ends_at).astimezone(UTC))
    if CREDENTIALS in found:
        token_url, client_id, client_secret, scope = found[CREDENTIALS]
        tokens = ClientCredentials(token_url, client_id, Secret(client_secret), scope)
    return Access(kept, tokens)


def _bound(field: str, value: str, most: int) -> None:
    if not 1 <= len(value) <= most:
        raise FieldInvalid.of(field, f"must have 1 to {most} characters")
