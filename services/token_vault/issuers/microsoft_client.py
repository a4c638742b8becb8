"""The app registration at Microsoft, and what msal's answers mean."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msal

from services.meshkit.secret import Secret
from services.providers.names import MS365
from services.token_vault.errors import AppCredentialMissing, InstallationMisconfigured, ProviderUnavailable
from services.token_vault.issuers.app_keys import AppKeys, by_newest
from services.token_vault.issuers.blocking_pool import BlockingPool
from services.token_vault.issuers.http import LibraryHttp
from services.token_vault.issuers.id_tokens import unproven
from services.token_vault.issuers.issuer import GrantError, PassingRefusal
from services.token_vault.issuers.refusals import Kind, meaning_of

PROVIDER = MS365

Result = TypeVar("Result")
_Credential = str | dict[str, str]
"""A secret, or a private key with its certificate, as msal takes them."""


@dataclass(frozen=True)
class MicrosoftSettings:
    """The app registration, and the addresses of its cloud.

    Args:
        authority: `https://<login host>/<organizations or a directory id>`.
        graph_url: Graph with its version.
        client_id: Application id.
        client_secret: Its secret; None where client certificates alone prove the app.
        scopes: Scopes requested of every account, with `openid`, `profile` and `offline_access`.
        redirect_uri: The address to which the browser returns.
        asks_for_shared: Whether accounts are asked for the mailboxes that others share with them.
    """

    authority: str
    graph_url: str
    client_id: str
    client_secret: Secret | None
    scopes: tuple[str, ...]
    redirect_uri: str
    asks_for_shared: bool = False


class MicrosoftClient:
    """The app registration as a client of the token endpoints, with its certificates and its secret.

    Each call makes a new msal application: a shared one would answer a repeated request from its cache of failures for
    a minute, and it keeps tokens, which only the store may do.

    Args:
        settings: The app registration.
        keys: Its client certificates, which are preferred to the secret.
        pool: Threads for msal.
        http: Transport of msal.
    """

    def __init__(self, settings: MicrosoftSettings, keys: AppKeys, pool: BlockingPool, http: LibraryHttp) -> None:
        self._settings = settings
        self._keys = keys
        self._pool = pool
        self._http = http

    async def prepare(self, authority: str, use: Callable[[Any], Result]) -> Result:
        """Use an msal application for what needs no proof of the app: the address of a page."""
        return await self._pool.run(lambda: guarded(lambda: use(self._app(authority, None))))

    async def ask(
        self,
        authority: str,
        use: Callable[[Any], dict[str, Any]],
        failure: Callable[[Mapping[str, Any]], Exception] | None = None,
    ) -> dict[str, Any]:
        """Ask a token endpoint, with the newest certificate first and the secret last.

        Args:
            authority: The authority of the request.
            use: Asks by an msal application, in a thread.
            failure: Returns the failure that an error means; `failure_of` by default.

        Raises:
            AppCredentialMissing: There is neither a certificate nor a secret.
            Exception: The failure of the answer.
        """

        async def by(credential: _Credential) -> dict[str, Any]:
            result = await self._pool.run(lambda: guarded(lambda: use(self._app(authority, credential))))
            if "error" in result:
                raise (failure or failure_of)(result)
            return result

        return await by_newest(await self._credentials(), by)

    async def _credentials(self) -> list[tuple[str, _Credential]]:
        secret = self._settings.client_secret
        found: list[tuple[str, _Credential]] = [
            (key.name, {"private_key": key.private_key.reveal(), "public_certificate": key.certificate})
            for key in await self._keys.usable(PROVIDER)
        ]
        found += [("secret", secret.reveal())] if secret else []
        if not found:
            raise AppCredentialMissing(metadata={"provider": PROVIDER})
        return found

    def _app(self, authority: str, credential: _Credential | None) -> Any:
        return msal.ConfidentialClientApplication(
            self._settings.client_id,
            client_credential=credential,
            authority=authority,
            instance_discovery=False,
            http_client=self._http,
            http_cache={},
        )


def guarded(use: Callable[[], Result]) -> Result:
    """Translate msal's exceptions. Its messages may quote the answer, so none is passed on."""
    try:
        return use()
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ProviderUnavailable("The provider's answer is unreadable.", metadata={"provider": PROVIDER}) from exc
    except RuntimeError as exc:  # the nonce is not the one that we sent
        raise unproven(PROVIDER, "nonce") from exc


def failure_of(result: Mapping[str, Any]) -> Exception:
    """Return the failure that an error of the token endpoint means."""
    error, finer = str(result.get("error"))[:60], str(result.get("suberror") or "")
    codes = [code for code in result.get("error_codes") or () if isinstance(code, int)]
    refusal, named = meaning_of(PROVIDER, error, finer, codes), " ".join((error, *(str(code) for code in codes[:1])))
    match refusal.kind:
        case Kind.OUTAGE:
            return ProviderUnavailable(metadata={"provider": PROVIDER})
        case Kind.APP:
            return InstallationMisconfigured(metadata={"provider": PROVIDER, "detail": named})
        case Kind.PASSING:
            return PassingRefusal(refusal.cause, named)
        case Kind.GRANT:
            return GrantError(refusal.cause, named)
