"""Checks of the providers' settings, and of the way to the providers."""

import datetime as dt
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from stack.diagnosis.finding import Finding, bad, good, warning

TIMEOUT_SECONDS = 5.0
MAX_SKEW_SECONDS = 60
SERVER_FAULT = 500


@dataclass(frozen=True)
class Provider:
    """How a provider's settings are named, and where it is reached."""

    name: str
    title: str
    prefix: str
    probes: tuple[tuple[str, str, str], ...]
    console: str


PROVIDERS = (
    Provider(
        "ms365",
        "Microsoft 365",
        "MAILMESH_MS365_",
        (
            ("AUTHORITY", "https://login.microsoftonline.com/organizations", "/v2.0/.well-known/openid-configuration"),
            ("GRAPH_URL", "https://graph.microsoft.com/v1.0", "/$metadata"),
        ),
        "the app registration's page Authentication, platform Web",
    ),
    Provider(
        "googlews",
        "Google Workspace",
        "MAILMESH_GOOGLEWS_",
        (
            ("CERTS_URL", "https://www.googleapis.com/oauth2/v3/certs", ""),
            ("GMAIL_URL", "https://gmail.googleapis.com/gmail/v1", "/users/me/profile"),
        ),
        "the OAuth client's page, Authorized redirect URIs",
    ),
)


def provider_findings(settings: Mapping[str, str], *, is_simulated: bool, offline: bool) -> Iterator[Finding]:
    """Checks each provider: credentials, redirect address, reachability."""
    if is_simulated:
        yield good("providers", "simulated on this machine")
    for provider in PROVIDERS:
        if not settings.get(f"{provider.prefix}CLIENT_ID"):
            variables = f"{provider.prefix}CLIENT_ID and {provider.prefix}CLIENT_SECRET"
            yield warning(provider.title, "is not offered: there is no client id", f"Set {variables} to offer it.")
            continue
        yield _credentials(provider, settings)
        yield _redirect(provider, settings, is_simulated=is_simulated)
        if not offline:
            yield from (_reach(provider, settings, *probe) for probe in provider.probes)


def _credentials(provider: Provider, settings: Mapping[str, str]) -> Finding:
    if not settings.get(f"{provider.prefix}CLIENT_SECRET"):
        if provider.name == "ms365":
            return warning(
                f"{provider.title} credentials",
                "there is no client secret: a certificate must be there",
                f"See `mailmesh app-credentials list`, or set {provider.prefix}CLIENT_SECRET.",
            )
        return bad(
            f"{provider.title} credentials", "the client secret is missing", f"Set {provider.prefix}CLIENT_SECRET."
        )
    return good(f"{provider.title} credentials", f"client id {settings[f'{provider.prefix}CLIENT_ID']}, secret is set")


def _redirect(provider: Provider, settings: Mapping[str, str], *, is_simulated: bool) -> Finding:
    name, public = f"{provider.title} redirect address", settings.get("MAILMESH_PUBLIC_URL", "")
    given = settings.get(f"{provider.prefix}REDIRECT_URI", "")
    address = given or (f"{public}/auth/oauth/{provider.name}/callback" if public else "")
    if not address:
        return bad(name, "there is no public address to come back to", "Set PUBLIC_URL to the edge's https address.")
    parts = urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1"):
        return bad(
            name, f"{address} is not https", "Providers accept http for localhost only: put TLS before the edge."
        )
    return good(name, address, "" if is_simulated else f"It must stand exactly so on {provider.console}.")


def _reach(provider: Provider, settings: Mapping[str, str], suffix: str, default: str, path: str) -> Finding:
    name = f"{provider.title} at {suffix.lower().replace('_url', '')}"
    url = (settings.get(f"{provider.prefix}{suffix}") or default) + path
    try:
        answer = httpx.get(url, verify=trust_of(settings), timeout=TIMEOUT_SECONDS)
    except httpx.HTTPError as fault:
        host = urlsplit(url).hostname
        return bad(
            name,
            f"{host} cannot be reached: {fault}",
            "Let this machine reach it: DNS, firewall, proxy, MAILMESH_PROVIDER_CA.",
        )
    if answer.status_code >= SERVER_FAULT:
        return warning(name, f"{url} answers {answer.status_code}", "Try again later; see the provider's status page.")
    return _skew(name, answer)


def _skew(name: str, answer: httpx.Response) -> Finding:
    seen = answer.headers.get("date")
    skew = abs((dt.datetime.now(dt.UTC) - parsedate_to_datetime(seen)).total_seconds()) if seen else 0.0
    milliseconds = answer.elapsed.total_seconds() * 1000
    if skew > MAX_SKEW_SECONDS:
        return bad(
            name, f"the clocks differ by {skew:.0f} s", "Set this machine's clock: tokens are refused otherwise."
        )
    return good(name, f"reached in {milliseconds:.0f} ms")


def trust_of(settings: Mapping[str, str]) -> ssl.SSLContext:
    """Returns the trusted certificate authorities: the system's, and the one that the settings name for providers."""
    context = ssl.create_default_context()
    authority = settings.get("MAILMESH_PROVIDER_CA")
    if authority and Path(authority).exists():
        context.load_verify_locations(authority)
    return context
