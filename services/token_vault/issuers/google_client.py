"""The transport of google-auth over ours."""

from collections.abc import Callable, Mapping
from typing import Any

import google.auth.exceptions
import requests
from google.auth import transport
from typing_extensions import override

from services.token_vault.errors import ProviderThrottled, ProviderUnavailable
from services.token_vault.issuers.http import LibraryHttp


class LibraryAnswer:
    """An HTTP answer in the form of google-auth."""

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.data = response.content


def library_request(http: LibraryHttp) -> Callable[..., LibraryAnswer]:
    """Return the callable by which google-auth sends its requests."""

    def send(
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> LibraryAnswer:
        ask = http.post if method == "POST" else http.get
        return LibraryAnswer(ask(url, data=body, headers=headers))

    return send


class IdentityRequest(transport.Request):
    """The way by which google-auth asks the platform for an identity.

    It finds out by a failure that there is no metadata server, and repeats what failed a few times, so failures reach
    it as its own exception.

    Args:
        http: Our transport.
    """

    def __init__(self, http: LibraryHttp) -> None:
        self._http = http

    @override
    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> LibraryAnswer:
        try:
            return LibraryAnswer(self._http.request(method, url, data=body, headers=headers, timeout=timeout))
        except (ProviderUnavailable, ProviderThrottled) as exc:
            raise google.auth.exceptions.TransportError(exc.reason) from exc  # type: ignore[no-untyped-call]
