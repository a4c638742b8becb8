"""Whether a request that carries a cookie was sent by a page of this installation (protection against CSRF).

`Sec-Fetch-Site` (W3C Fetch Metadata) and `Origin` (RFC 6454, Fetch) are set by the browser; no page can forge them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

SAME_ORIGIN = "same-origin"


@dataclass(frozen=True)
class Origins:
    """The origins of this installation's own pages.

    Args:
        public_url: The address at which browsers reach the edge; empty when there is none.
    """

    public_url: str

    def has_sent(self, headers: Mapping[str, str], scheme: str, host: str) -> bool:
        """Tell whether one of our own pages sent a request.

        Either header suffices, since older browsers and plain HTTP have only one of them; neither may contradict.

        Args:
            headers: The request's headers, in lower case.
            scheme: The scheme by which the request came.
            host: Its host, with the port if that is not the scheme's own.
        """
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is None and origin is None:
            return False
        parts = urlsplit(self.public_url)
        own = {_origin(scheme, host), _origin(parts.scheme, parts.netloc)} - {None}
        return site in (None, SAME_ORIGIN) and (origin is None or origin.lower() in own)


def _origin(scheme: str, host: str) -> str | None:
    """Return an origin; None without a scheme or a host, since "://" is the origin of no page."""
    return f"{scheme}://{host}".lower() if scheme and host else None
