"""Assertions of Google's service account without a key of it: the platform's identity has Google sign them.

The platform (the metadata server of Compute Engine and GKE, or workload identity federation) gives this process an
identity. With the role Service Account Token Creator this identity may call `signJwt` of the IAM Credentials API, which
signs by a key that never leaves Google: there is none here that a thief could copy.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import google.auth
import google.auth.exceptions
import structlog
from google.auth import credentials

from services.meshkit.deadlines import budget
from services.meshkit.secret import Secret
from services.providers.failures import error_words
from services.providers.names import GOOGLEWS
from services.token_vault.errors import InstallationMisconfigured, ProviderUnavailable
from services.token_vault.issuers.blocking_pool import BlockingPool
from services.token_vault.issuers.google_client import IdentityRequest
from services.token_vault.issuers.http import Answer, LibraryHttp, ProviderApi

logger = structlog.get_logger(__name__)

IAM_SCOPE: Final = "https://www.googleapis.com/auth/iam"
AUDIENCE: Final = "https://oauth2.googleapis.com/token"
"""The audience that Google checks (RFC 7523, section 3), whatever the address of its endpoint is."""
LIFETIME_SECONDS: Final = 3600
_WAIT_SECONDS: Final = 30.0
_DONE, _UNAUTHENTICATED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404
_REMEDIES: Final = {
    "SERVICE_DISABLED": "Enable the API iamcredentials.googleapis.com in the project of the service account.",
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": "Give the machine the access scope cloud-platform.",
}
_NO_IDENTITY = "Run TokenVault where Google's metadata server answers, or set GOOGLE_APPLICATION_CREDENTIALS for it."


@dataclass(frozen=True)
class KeylessSettings:
    """The service account whose assertions Google signs.

    Args:
        account: Its address.
        client_id: Its numeric id, as administrators enter it.
        iam_credentials_url: The IAM Credentials API with its version.
    """

    account: str
    client_id: str
    iam_credentials_url: str


class PlatformIdentity:
    """Access tokens of the identity that the platform gives, by Google's Application Default Credentials.

    One caller fetches, and the others wait for its token.

    Args:
        pool: Threads for google-auth.
        http: Transport of google-auth.
    """

    def __init__(self, pool: BlockingPool, http: LibraryHttp) -> None:
        self._pool = pool
        self._http = http
        self._lock = asyncio.Lock()
        self._credentials: credentials.Credentials | None = None

    async def token(self, rejected: Secret | None = None) -> Secret:
        """Return a token that has not expired. Safe to call again.

        Args:
            rejected: A token that Google refused: another one is fetched, unless that has happened meanwhile.

        Raises:
            InstallationMisconfigured: The platform gives no identity.
            ProviderUnavailable: The platform did not answer.
        """
        refused = rejected.reveal() if rejected else ""
        try:
            async with asyncio.timeout(budget(_WAIT_SECONDS)), self._lock:
                return await self._pool.run(lambda: self._current(refused))
        except TimeoutError as exc:
            raise ProviderUnavailable(metadata={"provider": GOOGLEWS}) from exc

    def _current(self, refused: str) -> Secret:
        request = IdentityRequest(self._http)
        try:
            found = self._credentials
            if found is None:
                found = _default(request)
            if not found.valid or found.token == refused:
                found.refresh(request)  # type: ignore[no-untyped-call]
        except google.auth.exceptions.RefreshError as exc:
            raise _refresh_failure(exc) from exc
        except google.auth.exceptions.TransportError as exc:
            raise _silent() from exc
        except (google.auth.exceptions.GoogleAuthError, OSError, ValueError, KeyError, TypeError) as exc:
            # The library's messages may quote a file of the platform, so none is passed on.
            raise misconfigured("no platform identity", _NO_IDENTITY) from exc
        self._credentials = found
        return Secret(str(found.token))


class KeylessAssertions:
    """Assertions that Google signs for the service account.

    Args:
        settings: The service account, and the API that signs.
        identity: The platform's identity.
        api: For the IAM Credentials API.
    """

    def __init__(self, settings: KeylessSettings, identity: PlatformIdentity, api: ProviderApi) -> None:
        self._settings = settings
        self._identity = identity
        self._api = api

    @property
    def client_id(self) -> str:
        """The numeric id of the service account."""
        return self._settings.client_id

    async def signed(self, address: str, scopes: tuple[str, ...]) -> Secret:
        """Return a signed assertion that names a user (RFC 7523, section 3). Safe to call again.

        Args:
            address: The user.
            scopes: The scopes to ask for.

        Raises:
            InstallationMisconfigured: The platform gives no identity, or its identity may not sign for the account.
            ProviderUnavailable, ProviderThrottled: A transient failure.
        """
        token = await self._identity.token()
        answer = await self._asked(token, address, scopes)
        if answer.status == _UNAUTHENTICATED:
            answer = await self._asked(await self._identity.token(rejected=token), address, scopes)
        if answer.status != _DONE:
            raise self._refusal(answer)
        signed = answer.document.get("signedJwt")
        if not isinstance(signed, str) or not signed:
            raise ProviderUnavailable("The provider's answer holds no assertion.", metadata={"provider": GOOGLEWS})
        return Secret(signed)

    async def _asked(self, token: Secret, address: str, scopes: tuple[str, ...]) -> Answer:
        now = int(time.time())
        claims = {
            "iss": self._settings.account,
            "sub": address,
            "aud": AUDIENCE,
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
        }
        account = quote(self._settings.account, safe="@")
        url = f"{self._settings.iam_credentials_url}/projects/-/serviceAccounts/{account}:signJwt"
        return await self._api.post_json(url, {"payload": json.dumps(claims)}, token)

    def _refusal(self, answer: Answer) -> InstallationMisconfigured:
        words = error_words(answer.document)
        known = next((word for word in words if word in _REMEDIES), "")
        if known:
            return misconfigured(f"signJwt {known}", _REMEDIES[known])
        if answer.status == _FORBIDDEN:
            account = self._settings.account
            remedy = f"Grant the platform's identity the role Service Account Token Creator on {account}."
            return misconfigured("signJwt PERMISSION_DENIED", remedy)
        word = next(iter(words), str(answer.status))
        return misconfigured(f"signJwt {word}", "Check MAILMESH_GOOGLEWS_KEYLESS_ACCOUNT and the platform's identity.")


def _default(request: IdentityRequest) -> credentials.Credentials:
    """Find the platform's identity.

    It gets the scope afterwards: with one, the library asks Cloud Resource Manager for the project of a federated
    workload, which we do not need, and which the workload may not be allowed to call.
    """
    found, _ = google.auth.default(request=request)
    scoped: credentials.Credentials = credentials.with_scopes_if_required(found, [IAM_SCOPE])  # type: ignore[no-untyped-call]
    return scoped


def misconfigured(detail: str, remedy: str) -> InstallationMisconfigured:
    """Return the error of a platform that does not sign, with what its operator does about it."""
    logger.error("platform identity refused", provider=GOOGLEWS, detail=detail)
    return InstallationMisconfigured(remedy, metadata={"provider": GOOGLEWS, "detail": detail})


def _refresh_failure(error: google.auth.exceptions.RefreshError) -> Exception:
    """Tell a platform that has no identity for this process from one that does not answer."""
    cause: Any = error.__cause__
    answers = [*error.args, *(cause.args if isinstance(cause, google.auth.exceptions.TransportError) else ())]
    is_refused = any(getattr(one, "status", 0) in (_FORBIDDEN, _NOT_FOUND) for one in answers)
    if is_refused or not (error.retryable or cause is not None):
        return misconfigured("no platform identity", _NO_IDENTITY)
    return _silent()


def _silent() -> ProviderUnavailable:
    return ProviderUnavailable("The platform's identity did not answer.", metadata={"provider": GOOGLEWS})
