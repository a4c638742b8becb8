"""The interface of a provider's issuer, and the values that it returns."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from services.meshkit.secret import Secret
from services.token_vault.issuers.refusals import ADMIN_CONSENT


@dataclass(frozen=True)
class TokenResponse:
    """The response of a token endpoint.

    Args:
        access_token: The bearer token.
        refresh_token: The refresh token to keep from now on, or None when the stored one stays valid.
        scopes: Granted scopes, as the provider spells them, sorted. Empty when the provider named none.
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
    """The identity in a verified id token.

    Args:
        external_account: The permanent identifier of the account: `tid.oid` at Microsoft, `sub` at Google.
        external_tenant_id: The organisation: `tid` at Microsoft, `hd` at Google; empty for consumers there.
        user_id: The user: `oid` at Microsoft, `sub` at Google.
    """

    external_account: str
    external_tenant_id: str
    user_id: str


@dataclass(frozen=True)
class Grant:
    """The result of exchanging a code."""

    tokens: TokenResponse
    identity: Identity


@dataclass(frozen=True)
class Account:
    """The account of a token, as the provider's own API describes it.

    Args:
        user_id: As in `Identity`.
        address: The current mail address in lower case.
        display_name: The account's own name; may be empty.
    """

    user_id: str
    address: str
    display_name: str


@dataclass(frozen=True)
class Begun:
    """A prepared authorization request.

    Args:
        url: The provider's page, with state and PKCE challenge.
        kept: Verifier, nonce and redirect URI, for the exchange. They stay on the server.
    """

    url: str = field(repr=False)
    kept: Secret


TOKEN_REJECTED = "token_rejected"  # noqa: S105 - a machine word
"""The cause of a `GrantError` that concerns the access token alone; another token may be valid."""


class TokenRefused(Exception):  # noqa: N818 - an answer of the provider
    """The provider refuses the account's token or code. The subclass has the meaning.

    Args:
        cause: A machine-readable cause: "grant_revoked", "conditional_access", "mfa_needed", ...
        provider_code: The provider's own code, for diagnosis: "invalid_grant 50173".
    """

    def __init__(self, cause: str, provider_code: str) -> None:
        super().__init__(f"{cause} ({provider_code})")
        self.cause = cause
        self.provider_code = provider_code


class GrantError(TokenRefused):
    """The provider no longer honours the grant. Only a person can fix that."""


class PassingRefusal(TokenRefused):
    """The provider refuses at the moment: a policy, a setting or the state of the account. The grant may be intact."""


class DelegationMissing(PassingRefusal):
    """The organisation's administrator has not granted the app's service account the scopes of a request.

    Args:
        provider_code: The provider's own code.
        client_id: The numeric id of the service account, as the administrator must enter it.
        scopes: The scopes of the request.
    """

    def __init__(self, provider_code: str, client_id: str, scopes: tuple[str, ...]) -> None:
        super().__init__(ADMIN_CONSENT, provider_code)
        self.client_id = client_id
        self.scopes = scopes


class Issuer(Protocol):
    """A provider. Every call takes bounded time and raises `MeshError` or, where documented, `TokenRefused`.

    A transient failure is `ProviderUnavailable` or `ProviderThrottled`; a failure of our own client is
    `InstallationMisconfigured`.
    """

    @property
    def provider(self) -> str:
        """Its name in the contract."""

    @property
    def needed_scopes(self) -> tuple[str, ...]:
        """The scopes that every tenant must have granted, whatever its abilities are."""

    def missing_scopes(self, granted: Iterable[str], needed: Iterable[str] | None = None) -> tuple[str, ...]:
        """Return the needed scopes that were not granted, in any spelling; `needed_scopes` by default."""

    async def begin(self, state: Secret, login_hint: str, scopes: Iterable[str]) -> Begun:
        """Prepare the request that sends a browser to the provider.

        Args:
            state: The state of the flow.
            login_hint: The address to suggest; may be empty.
            scopes: The scopes to ask for beside `needed_scopes`.
        """

    async def exchange(self, kept: Secret, state: Secret, code: Secret) -> Grant:
        """Exchange a code, and verify the id token that comes with the tokens.

        Raises:
            GrantError: The code is not valid.
            PassingRefusal: A policy or the state of the account forbids the access.
            RefreshTokenMissing: The response holds no refresh token.
            IdentityUnproven: The id token is missing, or fails a check.
        """

    async def refresh(self, refresh_token: Secret, scopes: Iterable[str]) -> TokenResponse:
        """Get a new access token.

        Args:
            refresh_token: The stored refresh token.
            scopes: The granted scopes that the token shall have beside `needed_scopes`. A provider may grant more.

        Raises:
            GrantError: A person must connect the account again.
            PassingRefusal: The same refresh token may work later.
        """

    async def who_is(self, access_token: Secret) -> Account:
        """Ask the provider's API for the account of a token.

        Raises:
            GrantError: The provider refuses the token.
        """

    async def check_mailbox(self, access_token: Secret) -> None:
        """Check that the token reaches the mailbox.

        Raises:
            MailboxUnavailable: The account has no mailbox that the API reaches.
            ScopeNotGranted: The token may not read mail.
        """

    async def revoke(self, refresh_token: Secret) -> bool:
        """Revoke the grant.

        Returns:
            False where the provider has no way to do it. True when the grant is revoked, or was before.
        """

    async def close(self) -> None:
        """Close connections and threads."""


@dataclass(frozen=True)
class DirectoryUser:
    """A user of an organisation.

    Args:
        user_id: The provider's id, in lower case.
        address: In lower case.
        display_name: May be empty.
        is_enabled: Whether the person may sign in.
    """

    user_id: str
    address: str
    display_name: str
    is_enabled: bool


class AppIssuer(Protocol):
    """A provider whose organisations can admit the app itself. Calls raise as those of `Issuer` do."""

    async def directory_token(self, directory_id: str, administrator: str) -> TokenResponse:
        """Get a token that reads the users of an organisation, proven to be for this one.

        Args:
            directory_id: The organisation.
            administrator: The address of its administrator, at Google; Microsoft needs none.

        Raises:
            PassingRefusal: The organisation does not admit the app, or not any more.
            IdentityUnproven: The token is for another organisation.
            AppCredentialMissing: This installation has no credential of the app.
        """

    async def mailbox_token(self, directory_id: str, account: Account, abilities: Collection[str]) -> TokenResponse:
        """Get a token for a mailbox with as many of the abilities as the organisation has granted, at least one.

        Args:
            directory_id: The organisation.
            account: The user; a provider whose tokens name a user proves that the token names this one.
            abilities: The abilities to ask for.

        Raises:
            PassingRefusal: The organisation does not admit the app, or grants none of the abilities.
            IdentityUnproven: The token is for another organisation or user.
            AppCredentialMissing: This installation has no credential of the app.
        """

    async def find_user(self, access_token: Secret, directory_id: str, user_id: str) -> Account:
        """Read a user of an organisation with the token that reads its users.

        Raises:
            MailboxUnavailable: The organisation has no such user.
        """

    async def who_is(self, access_token: Secret, user_id: str) -> Account:
        """Read the user of a mailbox with the token for this mailbox.

        Raises:
            MailboxUnavailable: The organisation has no such user.
            GrantError: The provider refuses the token.
        """

    async def check_mailbox(self, access_token: Secret, user_id: str) -> None:
        """Check that the token reaches a user's mailbox.

        Raises:
            MailboxUnavailable: The user has no mailbox that the API reaches.
            ScopeNotGranted: A policy of the organisation, or a missing permission, keeps the app out.
        """

    async def check_calendars(self, access_token: Secret, user_id: str) -> None:
        """Check that the token reads a user's list of calendars.

        Raises:
            MailboxUnavailable: The user has no calendars that the API reaches.
            ScopeNotGranted: A policy of the organisation, or a missing permission, keeps the app out.
        """

    async def users(self, access_token: Secret, behind: str, size: int) -> tuple[list[DirectoryUser], str]:
        """Read a page of the organisation's users.

        Args:
            access_token: The app's token for the organisation.
            behind: The provider's mark of the page, from the page before; empty for the first one.
            size: The number of users.

        Returns:
            The users, and the mark of the next page, empty at the end.
        """


class ConsentingApp(AppIssuer, Protocol):
    """A provider at which an organisation's administrator admits the app on a page."""

    async def user_by_address(self, access_token: Secret, address: str) -> Account:
        """Read a user by address with any token that may.

        Raises:
            MailboxUnavailable: The organisation has no such user.
            ScopeNotGranted: The token may not read users.
        """

    def consent_url(self, state: Secret, directory_id: str) -> str:
        """Return the page."""
