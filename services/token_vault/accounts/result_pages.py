"""The pages that a browser sees: what happened, and what to do. No script, no secret, no name of anybody."""

import base64
import hashlib
import html
from dataclasses import dataclass

from services.providers.names import PRODUCTS
from services.token_vault.store.authorization_flows import CONNECTED, EXCHANGING, FAILED, FlowRow

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:12vh auto;max-width:34rem;padding:0 1.5rem;color:#1d1d1f}"
    "h1{font-size:1.5rem}.ok h1{color:#0a7d33}.failed h1{color:#b3261e}small{color:#6e6e73}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = (
    (
        "content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
)
"""What goes out with every page."""


@dataclass(frozen=True)
class Page:
    """A page in words.

    Args:
        title: What happened.
        text: What to do.
        is_good: Whether the account is connected.
    """

    title: str
    text: str
    is_good: bool = False


_WAITING = Page("Your account is being connected", "Reload this page in a moment. If it stays like this, begin again.")
_LOST = Page(
    "This link is not valid any more",
    "It was used before, is older than ten minutes, or was begun in another browser or window. Nothing was connected by"
    " it. Ask for a new link and open it in one go.",
)
_FAILURES = {
    "FLOW_STATE_INVALID": Page(
        "The sign-in could not be finished",
        "It took longer than ten minutes, or the provider did not accept the sign-in any more. Ask for a new link and"
        " begin again.",
    ),
    "CONSENT_DENIED": Page(
        "You did not agree",
        "Nothing was connected. If that was not what you wanted, ask for a new link and agree this time.",
    ),
    "ADMIN_CONSENT_NEEDED": Page(
        "An administrator has to agree first",
        "Your organisation lets only an administrator give apps access to mail. Ask your administrator to grant consent"
        " for this app, then ask for a new link.",
    ),
    "SCOPE_NOT_GRANTED": Page(
        "Something that is needed was not granted",
        "Nothing was connected. Ask for a new link, and leave every box ticked on the provider's page. Not granted:",
    ),
    "REFRESH_TOKEN_MISSING": Page(
        "The provider gave no lasting access",
        "Nothing was connected. Remove this app from your account's connected apps at the provider, then ask for"
        " a new link.",
    ),
    "IDENTITY_UNPROVEN": Page(
        "It could not be proven whose account this is",
        "Nothing was connected. Ask for a new link and begin again. If it happens again, tell the operator: the clock"
        " or the provider's settings may be wrong.",
    ),
    "ACCOUNT_MISMATCH": Page(
        "That was another account",
        "The link was for reconnecting an account, and you signed in with a different one. Nothing was changed. Ask for"
        " a new link and choose the account that was connected before.",
    ),
    "MAILBOX_UNAVAILABLE": Page(
        "This account has no mailbox that can be reached",
        "Nothing was connected. Ask your administrator for a licence with a mailbox, then ask for a new link.",
    ),
    "TENANT_DISCONNECTED": Page(
        "This account is just being disconnected",
        "It can be connected again when that is done, in a few minutes. Ask for a new link then.",
    ),
    "INSTALLATION_MISCONFIGURED": Page(
        "This installation is not set up correctly",
        "The provider refuses the app's own credentials or settings; your account is not at fault. Tell the operator.",
    ),
    "PROVIDER_UNKNOWN": Page(
        "This provider is not offered here", "Nothing was connected. Ask the operator for a link for another provider."
    ),
}
_PROVIDER_DOWN = Page(
    "The provider does not answer at the moment", "Nothing was connected. Wait a few minutes, then ask for a new link."
)
_OUR_TROUBLE = Page(
    "Something is out of order here", "Nothing was connected. Wait a few minutes, then ask for a new link."
)
_PASSING = {"PROVIDER_UNAVAILABLE", "PROVIDER_THROTTLED", "DEADLINE_TOO_SHORT"}


def of_flow(flow: FlowRow | None) -> Page:
    """The page about how a flow went."""
    if flow is None:
        return _LOST
    if flow.step == CONNECTED:
        provider = PRODUCTS.get(flow.provider, flow.provider)
        return Page(
            "Your account is connected",
            f"mailmesh now receives mail of your {provider} account. You can close this page.",
            is_good=True,
        )
    if flow.step == FAILED:
        return of_failure(flow.reason, flow.detail)
    return _WAITING if flow.step == EXCHANGING else _LOST


def of_failure(reason: str, detail: str = "") -> Page:
    """The page about a failure of the catalogue."""
    if reason in _PASSING:
        return _PROVIDER_DOWN
    page = _FAILURES.get(reason, _OUR_TROUBLE)
    return Page(page.title, f"{page.text} {detail}") if reason == "SCOPE_NOT_GRANTED" else page


def of_ticket(reason: str) -> Page:
    """The page about a ticket that was not taken."""
    return _LOST if reason == "FLOW_STATE_INVALID" else of_failure(reason)


def render(page: Page) -> bytes:
    """Writes the page as HTML."""
    kind = "ok" if page.is_good else "failed"
    title, text = html.escape(page.title), html.escape(page.text)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f'<body class="{kind}"><h1>{title}</h1><p>{text}</p><small>mailmesh</small></body></html>'
    ).encode()
