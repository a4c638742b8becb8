"""The app registration at Microsoft, and what msal's answers mean."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msal

from services.meshkit.secret import Secret
from services.providers.names import MS365
from services.token_vault.errors import InstallationMisconfigured, ProviderUnavailable
from services.token_vault.issuers.http import LibraryHttp
from services.token_vault.issuers.id_tokens import unproven
from services.token_vault.issuers.issuer import GrantError, PassingRefusal
from services.token_vault.issuers.refusals import Kind, meaning_of

PROVIDER = MS365

Result = TypeVar("Result")


@dataclass(frozen=True)
class MicrosoftSettings:
    """The app registration, and the addresses of its cloud.

    Args:
        authority: `https://<login host>/<organizations or a directory id>`.
        graph_url: Graph with its version.
        client_id: Application id.
        client_secret: Its secret.
        scopes: Scopes requested of every account, with `openid`, `profile` and `offline_access`.
        redirect_uri: The address to which the browser returns.
    """

    authority: str
    graph_url: str
    client_id: str
    client_secret: Secret
    scopes: tuple[str, ...]
    redirect_uri: str


def msal_app(settings: MicrosoftSettings, http: LibraryHttp, authority: str) -> Any:
    """Make a new msal application.

    A shared one would answer a repeated request from its cache of failures for a minute, and it keeps tokens, which
    only the store may do.
    """
    return msal.ConfidentialClientApplication(
        settings.client_id,
        client_credential=settings.client_secret.reveal(),
        authority=authority,
        instance_discovery=False,
        http_client=http,
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
