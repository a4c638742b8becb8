"""The app's own access to organisations at Google: domain-wide delegation to a service account, and the Directory API.

The service account signs an assertion that names a user (RFC 7523), by a key that we hold or, keyless, by one that
Google holds, and Google answers with a token of this user, if
an administrator of the user's organisation has granted the service account every scope of the assertion. No call lists
the granted scopes, so they are found by asking. Whose a token is says Google's own user info.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import google.auth.exceptions
from google.auth import crypt
from google.oauth2 import service_account

from services.meshkit.secret import Secret
from services.providers.abilities import asked_scopes, least_scopes
from services.providers.failures import error_words
from services.providers.names import GOOGLEWS
from services.token_vault.errors import (
    AppCredentialMissing,
    IdentityUnproven,
    InstallationMisconfigured,
    MailboxUnavailable,
    ProviderUnavailable,
)
from services.token_vault.issuers.answers import raise_for
from services.token_vault.issuers.app_keys import AppKey, AppKeys, by_newest
from services.token_vault.issuers.blocking_pool import BlockingPool
from services.token_vault.issuers.google_client import library_request
from services.token_vault.issuers.google_keyless import LIFETIME_SECONDS, KeylessAssertions
from services.token_vault.issuers.http import LibraryHttp, ProviderApi
from services.token_vault.issuers.issuer import (
    Account,
    DelegationMissing,
    DirectoryUser,
    PassingRefusal,
    TokenResponse,
)
from services.token_vault.issuers.refusals import Kind, Refusal, meaning_of

PROVIDER = GOOGLEWS
DIRECTORY_SCOPE = "https://www.googleapis.com/auth/admin.directory.user.readonly"
IDENTITY_SCOPES = ("openid", "https://www.googleapis.com/auth/userinfo.email")
"""The scopes by which a token tells whose it is."""
_DONE, _NOT_FOUND = 200, 404
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_USERS_MAX = 500
_NOT_GRANTED = frozenset({"unauthorized_client", "access_denied"})
_OUR_ASSERTION = ("Invalid JWT", "Invalid grant: account not found")
"""How Google begins its words about the assertion itself: its key, its times or its service account."""
_REFUSED_KEY, _REFUSED_USER = Refusal(Kind.APP, "app_registration"), Refusal(Kind.PASSING, "account_unknown")


@dataclass(frozen=True)
class GoogleAppSettings:
    """Google's addresses for an app without a person.

    Args:
        token_url: The token endpoint.
        userinfo_url: The identity of an account.
        gmail_url: The Gmail API with its version.
        calendar_url: The Calendar API with its version.
        directory_url: The Directory API with its version.
    """

    token_url: str
    userinfo_url: str
    gmail_url: str
    calendar_url: str
    directory_url: str


class GoogleApp:
    """Implements `AppIssuer`.

    Args:
        settings: Google's addresses.
        keys: The service account's keys.
        pool: Threads for google-auth.
        http: Transport of google-auth.
        api: For the Directory API, user info and Gmail.
        keyless: Has Google sign the assertions; the keys are not used then.
    """

    def __init__(
        self,
        settings: GoogleAppSettings,
        keys: AppKeys,
        pool: BlockingPool,
        http: LibraryHttp,
        api: ProviderApi,
        keyless: KeylessAssertions | None = None,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._pool = pool
        self._http = http
        self._api = api
        self._keyless = keyless

    async def directory_token(self, directory_id: str, administrator: str) -> TokenResponse:
        """See `AppIssuer.directory_token`. The Directory API answers an administrator alone.

        The account of the administrator may have moved: without an organisation, the caller checks where it is.
        """
        if not administrator:
            raise PassingRefusal("account_unknown", "no administrator")
        token = await self._token(administrator, (DIRECTORY_SCOPE,))
        if directory_id and await self.directory_of(token.access_token, administrator) != directory_id:
            raise IdentityUnproven(metadata={"provider": PROVIDER, "detail": "directory"})
        return token

    async def directory_of(self, access_token: Secret, administrator: str) -> str:
        """Return the customer id of the organisation of a token's administrator.

        Raises:
            ScopeNotGranted: The account is no administrator who may read users.
            MailboxUnavailable: There is no such account.
        """
        found = await self._directory_user(access_token, administrator)
        return str(found.get("customerId") or "")

    async def mailbox_token(self, directory_id: str, account: Account, abilities: Collection[str]) -> TokenResponse:
        """See `AppIssuer.mailbox_token`: all scopes at once, else those of each ability alone."""
        del directory_id
        response = await self._widest_token(account.address, abilities)
        named = await self.who_is(response.access_token, account.user_id)
        if named.user_id != account.user_id:
            raise IdentityUnproven(metadata={"provider": PROVIDER, "detail": "user"})
        return response

    async def find_user(self, access_token: Secret, directory_id: str, user_id: str) -> Account:
        """See `AppIssuer.find_user`."""
        found = await self._directory_user(access_token, user_id)
        user = _user(found)
        if user is None or user.user_id != user_id or found.get("customerId") != directory_id:
            raise MailboxUnavailable(metadata={"detail": "other organisation"})
        return Account(user.user_id, user.address, user.display_name)

    async def who_is(self, access_token: Secret, user_id: str) -> Account:
        """See `AppIssuer.who_is`: the token itself names its user."""
        del user_id
        answer = await self._api.get(self._settings.userinfo_url, access_token)
        raise_for(PROVIDER, answer.status, answer.document)
        who = answer.document
        if not isinstance(who.get("sub"), str):
            raise ProviderUnavailable(metadata={"provider": PROVIDER})
        return Account(who["sub"], str(who.get("email") or "").lower(), str(who.get("name") or ""))

    async def check_mailbox(self, access_token: Secret, user_id: str) -> None:
        """See `AppIssuer.check_mailbox`: read the mailbox's profile."""
        del user_id
        answer = await self._api.get(f"{self._settings.gmail_url}/users/me/profile", access_token)
        raise_for(PROVIDER, answer.status, answer.document)

    async def check_calendars(self, access_token: Secret, user_id: str) -> None:
        """See `AppIssuer.check_calendars`."""
        del user_id
        url = f"{self._settings.calendar_url}/users/me/calendarList?maxResults=1"
        answer = await self._api.get(url, access_token)
        raise_for(PROVIDER, answer.status, answer.document)

    async def users(self, access_token: Secret, behind: str, size: int) -> tuple[list[DirectoryUser], str]:
        """See `AppIssuer.users`. Accounts without a mailbox are left out."""
        query = {"customer": "my_customer", "maxResults": str(min(size, _USERS_MAX)), "orderBy": "email"}
        query |= {"pageToken": behind} if behind else {}
        answer = await self._api.get(f"{self._settings.directory_url}/users?{urlencode(query)}", access_token)
        raise_for(PROVIDER, answer.status, answer.document)
        listed = answer.document.get("users")
        found = [one for one in (listed if isinstance(listed, list) else ()) if isinstance(one, dict)]
        users = [_user(one) for one in found if one.get("isMailboxSetup", True)]
        return [user for user in users if user is not None], str(answer.document.get("nextPageToken") or "")

    async def close(self) -> None:
        """Close connections and threads."""
        self._pool.close()
        await self._api.close()

    async def _directory_user(self, access_token: Secret, key: str) -> Mapping[str, Any]:
        answer = await self._api.get(f"{self._settings.directory_url}/users/{quote(key, safe='')}", access_token)
        if answer.status == _NOT_FOUND:
            raise MailboxUnavailable(metadata={"detail": next(iter(error_words(answer.document)), "404")})
        raise_for(PROVIDER, answer.status, answer.document)
        return answer.document

    async def _widest_token(self, address: str, abilities: Collection[str]) -> TokenResponse:
        try:
            return await self._token(address, (*IDENTITY_SCOPES, *asked_scopes(PROVIDER, abilities)))
        except DelegationMissing as exc:
            missing = exc
        granted: set[str] = set()
        for ability in abilities:
            granted |= await self._granted(address, least_scopes(PROVIDER, (ability,)))
        if not granted:
            raise missing
        return await self._token(address, (*IDENTITY_SCOPES, *sorted(granted)))

    async def _granted(self, address: str, scopes: tuple[str, ...]) -> set[str]:
        try:
            await self._token(address, (*IDENTITY_SCOPES, *scopes))
        except DelegationMissing:
            return set()
        return set(scopes)

    async def _token(self, address: str, scopes: tuple[str, ...]) -> TokenResponse:
        """Get a token of a user with exactly these scopes: Google grants all of them or none."""
        if self._keyless is not None:
            return await self._by_signed_assertion(self._keyless, address, scopes)
        keys = await self._keys.usable(PROVIDER)
        if not keys:
            raise AppCredentialMissing(metadata={"provider": PROVIDER})
        named = [(key.name, key) for key in keys]
        return await by_newest(named, lambda key: self._asked(key, address, scopes))

    async def _by_signed_assertion(
        self, keyless: KeylessAssertions, address: str, scopes: tuple[str, ...]
    ) -> TokenResponse:
        assertion = await keyless.signed(address, scopes)
        form = {"grant_type": _JWT_BEARER, "assertion": assertion.reveal()}
        answer = await self._api.post_form(self._settings.token_url, form)
        token, seconds = answer.document.get("access_token"), answer.document.get("expires_in")
        if answer.status != _DONE:
            raise _failure(answer.document, "signJwt", keyless.client_id, scopes)
        if not isinstance(token, str) or not token:
            raise ProviderUnavailable("The provider's answer holds no token.", metadata={"provider": PROVIDER})
        lifetime = min(seconds, LIFETIME_SECONDS) if isinstance(seconds, int) and seconds > 0 else LIFETIME_SECONDS
        return TokenResponse(
            Secret(token), None, tuple(sorted(scopes)), datetime.now(UTC) + timedelta(seconds=lifetime)
        )

    async def _asked(self, key: AppKey, address: str, scopes: tuple[str, ...]) -> TokenResponse:
        def ask() -> tuple[Any, Any]:
            credentials = service_account.Credentials(  # type: ignore[no-untyped-call]
                crypt.RSASigner.from_string(key.private_key.reveal(), key.name),  # type: ignore[no-untyped-call]
                key.account,
                self._settings.token_url,
                scopes=scopes,
                subject=address,
            )
            credentials.refresh(library_request(self._http))  # type: ignore[no-untyped-call]
            return credentials.token, credentials.expiry

        token, expiry = await self._pool.run(lambda: _guarded(ask, key, scopes))
        if not isinstance(token, str) or not token:
            raise ProviderUnavailable("The provider's answer holds no token.", metadata={"provider": PROVIDER})
        # The library's times have no zone, and mean UTC.
        ends_at = expiry.replace(tzinfo=UTC) if expiry else datetime.now(UTC) + timedelta(hours=1)
        return TokenResponse(Secret(token), None, tuple(sorted(scopes)), ends_at)


def _guarded(ask: Callable[[], tuple[Any, Any]], key: AppKey, scopes: tuple[str, ...]) -> tuple[Any, Any]:
    """Translate the library's exceptions. Its messages may quote the answer, so none is passed on."""
    try:
        return ask()
    except google.auth.exceptions.RefreshError as exc:
        document = next((part for part in exc.args if isinstance(part, dict)), {})
        raise _failure(document, key.name, key.client_id, scopes) from exc
    except google.auth.exceptions.GoogleAuthError as exc:
        raise ProviderUnavailable(metadata={"provider": PROVIDER}) from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ProviderUnavailable("The provider's answer is unreadable.", metadata={"provider": PROVIDER}) from exc


def _failure(document: Mapping[str, Any], key_name: str, client_id: str, scopes: tuple[str, ...]) -> Exception:
    word, text = str(document.get("error", ""))[:60], str(document.get("error_description", ""))
    if word in _NOT_GRANTED:
        return DelegationMissing(word, client_id, scopes)
    refusal = meaning_of(PROVIDER, word)
    if word == "invalid_grant":  # of the assertion, whose user or whose key it does not accept
        refusal = _REFUSED_KEY if text.startswith(_OUR_ASSERTION) else _REFUSED_USER
    if not word or refusal.kind is Kind.OUTAGE:
        return ProviderUnavailable(metadata={"provider": PROVIDER})
    if refusal.kind is Kind.APP:
        return InstallationMisconfigured(metadata={"provider": PROVIDER, "detail": f"{word} {key_name}"})
    return PassingRefusal(refusal.cause, word)


def _user(found: Mapping[str, Any]) -> DirectoryUser | None:
    user_id, address, name = found.get("id"), found.get("primaryEmail"), found.get("name")
    if not isinstance(user_id, str) or not isinstance(address, str) or not user_id:
        return None
    shown = str(name.get("fullName") or "") if isinstance(name, dict) else ""
    is_enabled = not (found.get("suspended") or found.get("archived"))
    return DirectoryUser(user_id, address.lower(), shown, is_enabled)
