"""What TokenVault asks of a provider, and the values that come back."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from services.meshkit.secret import Secret

ADMIN_CONSENT = "admin_consent_needed"
"""The cause of a `GrantError` that an administrator has to mend."""


@dataclass(frozen=True)
class TokenResponse:
    """What a token endpoint gave.

    Args:
        access_token: The bearer token.
        refresh_token: The refresh token to keep from now on, or None when the one at hand stays good.
        scopes: What was granted, as the provider spells it, sorted. Empty when the provider did not say.
        expires_at: When the access token ends.
        refresh_expires_at: When the refresh token ends, for grants that are limited in time.
    """

    access_token: Secret
    refresh_token: Secret | None
    scopes: tuple[str, ...]
    expires_at: datetime
    refresh_expires_at: datetime | None = None


@dataclass(frozen=True)
class Identity:
    """Who a verified id token is about.

    Args:
        external_account: What identifies the account for ever: `tid.oid` at Microsoft, `sub` at Google.
        external_tenant_id: The organisation: `tid` at Microsoft, `hd` at Google; empty for consumers there.
        user_id: The user: `oid` at Microsoft, `sub` at Google.
    """

    external_account: str
    external_tenant_id: str
    user_id: str


@dataclass(frozen=True)
class Grant:
    """What exchanging a code gave."""

    tokens: TokenResponse
    identity: Identity


@dataclass(frozen=True)
class Account:
    """What the provider's own API says about the account of a token.

    Args:
        user_id: As in `Identity`.
        address: The current mail address in lower case.
        display_name: The account's own name, may be empty.
    """

    user_id: str
    address: str
    display_name: str


@dataclass(frozen=True)
class Begun:
    """An authorization request that was prepared.

    Args:
        url: The provider's page, with state and PKCE challenge.
        kept: What the exchange needs: verifier, nonce, redirect URI. It stays on the server.
    """

    url: str = field(repr=False)
    kept: Secret


TOKEN_REJECTED = "token_rejected"  # noqa: S105 - a machine word
"""The cause of a `GrantError` that speaks of the access token alone; another one may be good."""


class GrantError(Exception):
    """The provider no longer honours the grant. Only a person can mend that.

    Args:
        cause: A machine word: "grant_revoked", "grant_expired", "mfa_needed", ...
        provider_code: The provider's own words, for diagnosis: "invalid_grant 50173".
    """

    def __init__(self, cause: str, provider_code: str) -> None:
        super().__init__(f"{cause} ({provider_code})")
        self.cause = cause
        self.provider_code = provider_code


class Issuer(Protocol):
    """A provider. Every call takes bounded time and raises `MeshError` or, where it is said, `GrantError`.

    Passing trouble is `ProviderUnavailable` or `ProviderThrottled`, trouble with our own client
    `InstallationMisconfigured`.
    """

    @property
    def provider(self) -> str:
        """Its name in the contract."""

    @property
    def needed_scopes(self) -> tuple[str, ...]:
        """The scopes that every tenant must have granted."""

    def missing_scopes(self, granted: Iterable[str], needed: Iterable[str] | None = None) -> tuple[str, ...]:
        """Names the scopes that were not granted, whatever way the provider spells them; `needed_scopes` by default."""

    async def begin(self, state: Secret, login_hint: str) -> Begun:
        """Prepares the request that sends a browser to the provider."""

    async def exchange(self, kept: Secret, state: Secret, code: Secret) -> Grant:
        """Exchanges a code and verifies the id token that comes with the tokens.

        Raises:
            GrantError: The code is no good.
            RefreshTokenMissing: No refresh token came back.
            IdentityUnproven: There is no id token, or it does not verify.
        """

    async def refresh(self, refresh_token: Secret) -> TokenResponse:
        """Gets a new access token.

        Raises:
            GrantError: A person has to connect again.
        """

    async def who_is(self, access_token: Secret) -> Account:
        """Asks the provider's API whose token this is.

        Raises:
            GrantError: The provider refuses the token.
        """

    async def check_mailbox(self, access_token: Secret) -> None:
        """Asks whether the mailbox can be reached with this token.

        Raises:
            MailboxUnavailable: The account has no mailbox that the API reaches.
            ScopeNotGranted: The token may not read mail.
        """

    async def revoke(self, refresh_token: Secret) -> bool:
        """Revokes the grant.

        Returns:
            False where the provider has no way to do it. True when it is revoked, or was before.
        """

    async def close(self) -> None:
        """Ends connections and threads."""
