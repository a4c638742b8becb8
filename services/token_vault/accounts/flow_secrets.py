"""The secrets of an authorization flow: digests, names of cookies, and what a browser's secret proves and opens."""

import hashlib
import re
from collections.abc import Mapping

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.meshkit.secret import Secret
from services.token_vault.accounts.errors import FlowStateInvalid

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
"""The form of a browser's secret: `secrets.token_urlsafe` of 32 bytes."""


def digest(secret: str) -> bytes:
    """Return the SHA-256 of a secret that is too random to be guessed."""
    return hashlib.sha256(secret.encode()).digest()


def cookie_name(state: str) -> str:
    """Return the name of a flow's cookie: a browser may run several flows at once."""
    return f"mailmesh_flow_{digest('cookie ' + state).hex()[:12]}"


def page_cookie_name(flow_id: str) -> str:
    """Return the name of the cookie that the page with the button gives."""
    return f"mailmesh_page_{digest('page ' + flow_id).hex()[:12]}"


def page_secret(flow_id: str, cookies: Mapping[str, str]) -> Secret | None:
    """Return the secret that the page gave to this browser, or None without one in the form of ours."""
    value = cookies.get(page_cookie_name(flow_id), "")
    return Secret(value) if _SECRET.fullmatch(value) else None


def proof_of(browser: Secret, ticket: str) -> str:
    """Return the proof that a form with a ticket is of this browser's page."""
    return digest(f"proof {browser.reveal()} {ticket}").hex()


def invalid(detail: str) -> FlowStateInvalid:
    """Make the failure for an invalid ticket, state or code."""
    return FlowStateInvalid(metadata={"detail": detail[:60]})


def flow_key(browser: Secret) -> bytes:
    """Derive the key that seals the secrets of a flow from the browser's own secret."""
    return HKDF(SHA256(), 32, None, b"mailmesh authorization flow").derive(browser.reveal().encode())
