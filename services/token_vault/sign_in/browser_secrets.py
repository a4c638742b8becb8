"""The secrets of a sign-in, all derived from one random value in the browser's cookie.

Nothing is stored: the browser that started a sign-in is the only one that can finish it, at any process.
"""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from services.meshkit.secret import Secret

COOKIE = "__Host-mailmesh-sign-in"
COOKIE_SECONDS = 600
_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class BrowserSecrets:
    """The secrets of one sign-in.

    Args:
        cookie: The value of the cookie.
    """

    cookie: Secret

    @classmethod
    def new(cls) -> "BrowserSecrets":
        """Make the secrets of a new sign-in."""
        return cls(Secret(secrets.token_urlsafe(32)))

    @classmethod
    def of_cookie(cls, value: str) -> "BrowserSecrets | None":
        """Return the secrets of a presented cookie, or None when it does not have the form of ours."""
        return cls(Secret(value)) if _SHAPE.fullmatch(value) else None

    @property
    def state(self) -> str:
        """The state parameter (RFC 6749, section 10.12)."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """The nonce (OpenID Connect Core 1.0, section 3.1.2.1)."""
        return self._derived("nonce")

    @property
    def verifier(self) -> Secret:
        """The code verifier (RFC 7636, section 4.1)."""
        return Secret(self._derived("verifier"))

    @property
    def challenge(self) -> str:
        """The code challenge of method S256 (RFC 7636, section 4.2)."""
        return _url_safe(hashlib.sha256(self._derived("verifier").encode()).digest())

    def is_state(self, presented: str) -> bool:
        """Tell whether a state is this sign-in's."""
        return hmac.compare_digest(self.state.encode(), presented.encode())

    def _derived(self, purpose: str) -> str:
        key = self.cookie.reveal().encode()
        return _url_safe(hmac.digest(key, f"mailmesh sign-in {purpose}".encode(), "sha256"))


def _url_safe(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
