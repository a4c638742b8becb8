"""Access tokens of the service account that may consume the Pub/Sub subscription, by Google's own library.

The account needs the role Pub/Sub Subscriber on the one subscription, and nothing else: its key opens no mailbox.
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Final

import google.auth
import httpx
import orjson
from google.auth import credentials, exceptions, transport
from google.oauth2 import service_account
from typing_extensions import override

from services.ingest.errors import InstallationMisconfigured, ProviderUnavailable
from services.meshkit.errors import MeshError
from services.meshkit.hushed import hush
from services.meshkit.secret import Secret
from services.providers.names import GOOGLEWS

SCOPE: Final = "https://www.googleapis.com/auth/pubsub"
_CALL_SECONDS: Final = 10.0
# A refresh is repeated by the library, with pauses of a few seconds.
_REFRESH_SECONDS: Final = 60.0
_TALKATIVE: Final = ("google.auth", "httpx", "httpcore")


class ServiceAccountTokens:
    """Access tokens, refreshed shortly before they expire.

    Args:
        key: The service account's key, JSON. None takes the Application Default Credentials: those of the platform, or
            of the file that GOOGLE_APPLICATION_CREDENTIALS names.
        trust: The certificate authorities to trust.
    """

    def __init__(self, key: Secret | None, trust: ssl.SSLContext) -> None:
        hush(_TALKATIVE)
        self._key = key
        self._http = httpx.Client(verify=trust, follow_redirects=False)
        self._credentials: credentials.Credentials | None = None
        self._lock = asyncio.Lock()

    async def token(self, *, rejected: Secret | None = None) -> Secret:
        """Return a token that has not expired. Safe to call again.

        Args:
            rejected: A token that Google refused: another one is fetched, unless that has happened meanwhile.

        Raises:
            InstallationMisconfigured: There is no usable key, or Google refuses it.
            ProviderUnavailable: Google's token endpoint did not answer.
        """
        async with self._lock:
            try:
                async with asyncio.timeout(_REFRESH_SECONDS):
                    return Secret(await asyncio.to_thread(self._current, rejected.reveal() if rejected else ""))
            except TimeoutError as exc:
                raise _unavailable() from exc

    async def aclose(self) -> None:
        """Close the connections. Safe to call again."""
        await asyncio.to_thread(self._http.close)

    def _current(self, rejected: str) -> str:
        try:
            found = self._credentials or self._load()
            if not found.valid or found.token == rejected:
                found.refresh(_Transport(self._http))  # type: ignore[no-untyped-call]
        except (exceptions.TransportError, exceptions.TimeoutError) as exc:
            raise _unavailable() from exc
        except exceptions.RefreshError as exc:
            raise _unavailable() if exc.retryable else _unusable("Google refuses the service account's key") from exc
        except (exceptions.GoogleAuthError, OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            raise _unusable("the service account's key cannot be read") from exc
        self._credentials = found
        return str(found.token)

    def _load(self) -> credentials.Credentials:
        if self._key is None:
            made, _ = google.auth.default(scopes=[SCOPE], request=_Transport(self._http))
            return made
        loaded: credentials.Credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            orjson.loads(self._key.reveal()), scopes=[SCOPE]
        )
        return loaded


class _Answer(transport.Response):
    """An answer in the form that google-auth reads."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    @property
    @override
    def status(self) -> int:
        return self._response.status_code

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    @property
    @override
    def data(self) -> bytes:
        return self._response.content


class _Transport(transport.Request):
    """google-auth's way out: our connections, with our trusted authorities and deadlines."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    @override
    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_options: Any,
    ) -> _Answer:
        seconds = min(timeout or _CALL_SECONDS, _CALL_SECONDS)
        try:
            return _Answer(self._http.request(method, url, content=body, headers=headers, timeout=seconds))
        except httpx.HTTPError as exc:
            raise exceptions.TransportError(str(exc)) from exc  # type: ignore[no-untyped-call]


def _unavailable() -> MeshError:
    return ProviderUnavailable("Google's token endpoint did not answer.", metadata={"provider": GOOGLEWS})


def _unusable(why: str) -> MeshError:
    return InstallationMisconfigured(
        f"{why[0].upper()}{why[1:]}: check MAILMESH_GOOGLEWS_PUBSUB_KEY, or the identity that the platform gives.",
        subject=GOOGLEWS,
        metadata={"provider": GOOGLEWS, "detail": "MAILMESH_GOOGLEWS_PUBSUB_KEY"},
    )
