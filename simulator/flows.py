"""The parts that both providers' authorization pages share: the original request, PKCE, client checks."""

import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass

from simulator.accounts import Client
from simulator.http import Call

_FLOWS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class AuthorizeRequest:
    """One visit to the authorization page."""

    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str
    challenge: str
    challenge_method: str
    nonce: str
    prompt: str
    login_hint: str
    response_type: str
    response_mode: str
    access_type: str
    includes_granted: bool
    tenant: str = ""

    @classmethod
    def read(cls, call: Call, tenant: str = "") -> "AuthorizeRequest":
        """Read the query of an authorization request."""
        return cls(
            client_id=call.first("client_id"),
            redirect_uri=call.first("redirect_uri"),
            scopes=tuple(dict.fromkeys(call.first("scope").split())),
            state=call.first("state"),
            challenge=call.first("code_challenge"),
            challenge_method=call.first("code_challenge_method", "plain"),
            nonce=call.first("nonce"),
            prompt=call.first("prompt"),
            login_hint=call.first("login_hint"),
            response_type=call.first("response_type"),
            response_mode=call.first("response_mode", "query"),
            access_type=call.first("access_type", "online"),
            includes_granted=call.first("include_granted_scopes") == "true",
            tenant=tenant,
        )


class Flows:
    """Pages that are open in some browser; the oldest are forgotten."""

    def __init__(self) -> None:
        self._flows: OrderedDict[str, AuthorizeRequest] = OrderedDict()

    def begin(self, request: AuthorizeRequest) -> str:
        """Keep a request and return the id that the form carries."""
        flow = secrets.token_urlsafe(16)
        self._flows[flow] = request
        while len(self._flows) > _FLOWS_MAX:
            self._flows.popitem(last=False)
        return flow

    def take(self, flow: str) -> AuthorizeRequest | None:
        """Return the request of a form and forget it."""
        return self._flows.pop(flow, None)


def verifies(challenge: str, verifier: str) -> bool:
    """Return whether a PKCE verifier belongs to an S256 challenge."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)


def client_credentials(call: Call, form: dict[str, str]) -> tuple[str, str]:
    """Return client id and secret from the form or from HTTP Basic."""
    scheme, _, value = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(value).decode().partition(":")
        except ValueError:
            return "", ""
        return client_id, secret
    return form.get("client_id", ""), form.get("client_secret", "")


def allows_redirect(client: Client, uri: str) -> bool:
    """Return whether a client may be sent back to an address."""
    return bool(uri) and (not client.redirect_uris or uri in client.redirect_uris)
