"""The metadata of `/mcp` as a protected resource (RFC 9728), by which hosts of agents find the identity provider."""

import json
from dataclasses import dataclass

from services.token_vault.api_access.edge_contract import AGENTS_PATH

_WELL_KNOWN = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True)
class ProtectedResource:
    """The metadata.

    Args:
        public_url: The address at which the outside reaches the edge, without a slash at its end.
        issuer: The identity provider.
        scopes: The scopes to ask for; none lets the host choose.
    """

    public_url: str
    issuer: str
    scopes: tuple[str, ...]

    @property
    def url(self) -> str:
        """The resource's identifier, which is the default audience of access tokens (RFC 8707, section 2)."""
        return self.public_url + AGENTS_PATH

    @property
    def challenge(self) -> str:
        """The parameters of `WWW-Authenticate` that lead to the metadata (RFC 9728, section 5.1; RFC 6750, 3)."""
        # The path of the resource stands behind the well-known one (RFC 9728, section 3.1).
        parts = [f'resource_metadata="{self.public_url}{_WELL_KNOWN}{AGENTS_PATH}"']
        return ", ".join(parts + ([f'scope="{" ".join(self.scopes)}"'] if self.scopes else []))

    def document(self) -> bytes:
        """Return the metadata as JSON (RFC 9728, section 2)."""
        content = {
            "resource": self.url,
            "resource_name": "mailmesh",
            "authorization_servers": [self.issuer],
            "bearer_methods_supported": ["header"],
        }
        return json.dumps(content | ({"scopes_supported": list(self.scopes)} if self.scopes else {})).encode()
