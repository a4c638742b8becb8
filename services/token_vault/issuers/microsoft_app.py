"""The app's own access to organisations at Microsoft: administrators' consent, client credentials, users of Graph.

A token is asked for at one organisation's own address, and its claim `tid` must name that organisation. Nothing else
tells whose it is: the parameter `tenant` of the consent's answer is the browser's word.
"""

import base64
import binascii
import json
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from services.meshkit.secret import Secret
from services.providers.failures import error_words
from services.token_vault.errors import IdentityUnproven, MailboxUnavailable, ProviderUnavailable
from services.token_vault.issuers.answers import raise_for
from services.token_vault.issuers.http import ProviderApi
from services.token_vault.issuers.issuer import Account, DirectoryUser, PassingRefusal, TokenResponse
from services.token_vault.issuers.microsoft_client import PROVIDER, MicrosoftClient, MicrosoftSettings, failure_of
from services.token_vault.issuers.refusals import ADMIN_CONSENT

_NOT_FOUND = 404
_ROLES_MAX = 200
_CONSENT_GONE = frozenset({65001, 90002, 700016, 7000112, 7000229})
"""The organisation is gone, or has not admitted the app, or has removed or blocked it.

The app has no grant that could be lost: after the administrator's consent the provider issues its tokens, so its
tenants keep trying."""
_OF_SHARED = frozenset({"Calendars.Read", "Calendars.ReadWrite"})
_USER = "id,displayName,mail,userPrincipalName,accountEnabled"


class MicrosoftApp:
    """Implements `AppIssuer`.

    Args:
        settings: The app registration.
        client: Asks the token endpoints.
        api: For Graph.
    """

    def __init__(self, settings: MicrosoftSettings, client: MicrosoftClient, api: ProviderApi) -> None:
        self._settings = settings
        self._client = client
        self._api = api
        self._login = settings.authority.rpartition("/")[0]
        graph = urlsplit(settings.graph_url)
        self._scope = f"{graph.scheme}://{graph.netloc}/.default"

    def consent_url(self, state: Secret, directory_id: str) -> str:
        """See `ConsentingApp.consent_url`. App permissions need the scope `/.default`."""
        query = {
            "client_id": self._settings.client_id,
            "scope": self._scope,
            "redirect_uri": self._settings.redirect_uri,
            "state": state.reveal(),
        }
        return f"{self._login}/{quote(directory_id, safe='')}/v2.0/adminconsent?{urlencode(query)}"

    async def directory_token(self, directory_id: str, administrator: str = "") -> TokenResponse:
        """See `AppIssuer.directory_token`. One token of an organisation reads its users and its mailboxes."""
        del administrator
        authority = f"{self._login}/{quote(directory_id, safe='')}"

        result = await self._client.ask(
            authority, lambda app: dict(app.acquire_token_for_client([self._scope])), _failure
        )
        access = result.get("access_token")
        if not isinstance(access, str) or not access:
            raise ProviderUnavailable("The provider's answer holds no token.", metadata={"provider": PROVIDER})
        roles = _roles(_claims(access), directory_id)
        expires_at = datetime.now(UTC) + timedelta(seconds=int(result.get("expires_in") or 0))
        return TokenResponse(Secret(access), None, roles, expires_at)

    async def mailbox_token(self, directory_id: str, account: Account, abilities: Collection[str]) -> TokenResponse:
        """See `AppIssuer.mailbox_token`. The token names no user, and has every permission of the app."""
        del account, abilities
        return await self.directory_token(directory_id)

    async def find_user(self, access_token: Secret, directory_id: str, user_id: str) -> Account:
        """See `AppIssuer.find_user`. The token reads its own organisation alone."""
        del directory_id
        return await self.who_is(access_token, user_id)

    async def who_is(self, access_token: Secret, user_id: str) -> Account:
        """See `AppIssuer.who_is`."""
        found = await self.user_by_address(access_token, user_id)
        if found.user_id != user_id.lower():
            raise ProviderUnavailable("The provider answers about another user.", metadata={"provider": PROVIDER})
        return found

    async def user_by_address(self, access_token: Secret, address: str) -> Account:
        """See `ConsentingApp.user_by_address`."""
        answer = await self._api.get(f"{self._user(address)}?$select={_USER}", access_token)
        _raise_for(answer.status, answer.document)
        found = _user(answer.document)
        if found is None:
            raise ProviderUnavailable("The provider's answer is unreadable.", metadata={"provider": PROVIDER})
        return Account(found.user_id, found.address, found.display_name)

    async def check_mailbox(self, access_token: Secret, user_id: str) -> None:
        """See `AppIssuer.check_mailbox`: read the inbox's folder."""
        answer = await self._api.get(f"{self._user(user_id)}/mailFolders/inbox?$select=id", access_token)
        _raise_for(answer.status, answer.document)

    async def check_calendars(self, access_token: Secret, user_id: str) -> None:
        """See `AppIssuer.check_calendars`."""
        answer = await self._api.get(f"{self._user(user_id)}/calendars?$top=1", access_token)
        _raise_for(answer.status, answer.document)

    async def users(self, access_token: Secret, behind: str, size: int) -> tuple[list[DirectoryUser], str]:
        """See `AppIssuer.users`. The link of the next page is never followed: only its mark is taken out of it."""
        query = {"$select": _USER, "$top": str(size)} | ({"$skiptoken": behind} if behind else {})
        answer = await self._api.get(f"{self._settings.graph_url}/users?{urlencode(query)}", access_token)
        _raise_for(answer.status, answer.document)
        listed = answer.document.get("value")
        users = [_user(one) for one in (listed if isinstance(listed, list) else ()) if isinstance(one, dict)]
        link = str(answer.document.get("@odata.nextLink") or "")
        mark = next(iter(parse_qs(urlsplit(link).query).get("$skiptoken", [])), "")
        return [user for user in users if user is not None], mark

    def _user(self, user_id: str) -> str:
        return f"{self._settings.graph_url}/users/{quote(user_id, safe='')}"


def _user(found: Mapping[str, Any]) -> DirectoryUser | None:
    user_id = found.get("id")
    if not isinstance(user_id, str) or not user_id:
        return None
    address = str(found.get("mail") or found.get("userPrincipalName") or "").lower()
    return DirectoryUser(
        user_id.lower(), address, str(found.get("displayName") or ""), bool(found.get("accountEnabled", True))
    )


def _raise_for(status: int, document: Mapping[str, Any]) -> None:
    if status == _NOT_FOUND:
        raise MailboxUnavailable(metadata={"detail": next(iter(error_words(document)), "404")})
    raise_for(PROVIDER, status, document)


def _roles(claims: Mapping[str, Any], directory_id: str) -> tuple[str, ...]:
    """Return the app's permissions; refuse a token of another organisation, or without any permission."""
    if str(claims.get("tid", "")).lower() != directory_id.lower():
        raise IdentityUnproven(metadata={"provider": PROVIDER, "detail": "directory"})
    named = claims.get("roles")
    roles: Iterable[object] = named if isinstance(named, list) else ()
    named_roles = {role for role in roles if isinstance(role, str)}
    # An app's permission reaches every mailbox of the organisation, shared ones too, and so has no form for them alone.
    shared = {f"{role}.Shared" for role in named_roles & _OF_SHARED}
    found = tuple(sorted(named_roles | shared))[:_ROLES_MAX]
    if not found:
        raise PassingRefusal(ADMIN_CONSENT, "no roles")
    return found


def _claims(token: str) -> dict[str, Any]:
    """Read the claims of a token that came from the token endpoint itself, over TLS; Graph alone verifies it."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""  # noqa: PLR2004 - header, payload, signature
    try:
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return found if isinstance(found, dict) else {}


def _failure(result: Mapping[str, Any]) -> Exception:
    codes = [code for code in result.get("error_codes") or () if isinstance(code, int)]
    if _CONSENT_GONE & set(codes):
        return PassingRefusal(ADMIN_CONSENT, f"{str(result.get('error'))[:60]} {codes[0]}")
    return failure_of(result)
