"""The HTML pages of an authorization's result, with the next step. They hold no script, no secret and no name."""

import base64
import hashlib
import html
from dataclasses import dataclass

from services.providers.abilities import (
    CALENDAR_READ,
    CALENDAR_WRITE,
    CONVERSATION_READ,
    CONVERSATION_WRITE,
    MAIL_MARK,
    MAIL_READ,
    MAIL_SEND,
)
from services.providers.names import PRODUCTS
from services.token_vault.store.authorization_flows import CONNECTED, EXCHANGING, FAILED, FlowRow

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:12vh auto;max-width:34rem;padding:0 1.5rem;color:#1d1d1f}"
    "h1{font-size:1.5rem}.ok h1{color:#0a7d33}.failed h1{color:#b3261e}small{color:#6e6e73}"
    "button{font:inherit;font-weight:600;margin:.5rem 0 1.5rem;padding:.65rem 1.4rem;border:0;border-radius:.5rem;"
    "background:#0b57d0;color:#fff;cursor:pointer}button:focus-visible{outline:3px solid #7fb0ff;outline-offset:2px}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"
"""The content security policy of every page."""
PRIVATE = (
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
)
HEADERS = (("content-security-policy", f"{POLICY}; form-action 'none'"), *PRIVATE)
"""Headers of every page without a form."""


@dataclass(frozen=True)
class Page:
    """The words of a page.

    Args:
        title: The result.
        text: The next step.
        is_good: Whether the account is connected.
    """

    title: str
    text: str
    is_good: bool = False


_WAITING = Page(
    "Your account is being connected", "Reload this page in a moment. If it does not change, ask for a new link."
)
_LOST = Page(
    "This link is not valid any more",
    "It was used before, is older than ten minutes, or was opened in another browser or without cookies. It connected"
    " no account. Ask for a new link, and finish the sign-in within ten minutes.",
)
_FAILURES = {
    "FLOW_STATE_INVALID": Page(
        "The sign-in could not be finished",
        "It took longer than ten minutes, or the provider no longer accepted the sign-in. Ask for a new link and start"
        " again.",
    ),
    "CONSENT_DENIED": Page(
        "You did not agree",
        "No account was connected. To connect your account, ask for a new link and agree to the request.",
    ),
    "ADMIN_CONSENT_NEEDED": Page(
        "An administrator must agree first",
        "In your organisation, only an administrator can give apps access to mail. Ask your administrator to grant"
        " consent for this app, then ask for a new link.",
    ),
    "MAILBOX_CONNECTED_OTHERWISE": Page(
        "This mailbox is connected already",
        "Your organisation has connected it for the app itself, so that it needs no sign-in. Ask the operator of"
        " mailmesh to disconnect it first.",
    ),
    "SCOPE_NOT_GRANTED": Page(
        "A required permission was not granted",
        "No account was connected. Ask for a new link, and leave every box ticked on the provider's page. Not granted:",
    ),
    "REFRESH_TOKEN_MISSING": Page(
        "The provider gave no lasting access",
        "No account was connected. Remove this app from your account's connected apps at the provider, then ask for"
        " a new link.",
    ),
    "IDENTITY_UNPROVEN": Page(
        "The identity of this account could not be verified",
        "No account was connected. Ask for a new link and start again. If this happens again, tell the operator: the"
        " clock or the provider's settings may be wrong.",
    ),
    "ACCOUNT_MISMATCH": Page(
        "That was another account",
        "The link was for reconnecting one account, and you signed in with a different one. Nothing has changed. Ask"
        " for a new link and choose the account that was connected before.",
    ),
    "ABILITIES_WOULD_BE_LOST": Page(
        "This account is connected already",
        "It has granted more than this link asked for, and the new grant would have lost that. Nothing has changed. Ask"
        " for a new link for this account: it asks for everything together.",
    ),
    "MAILBOX_UNAVAILABLE": Page(
        "The provider reaches no mailbox of this account",
        "No account was connected. Ask your administrator for a licence with a mailbox, then ask for a new link.",
    ),
    "TENANT_DISCONNECTED": Page(
        "This account is being disconnected",
        "You can connect it again in a few minutes, when that is done. Ask for a new link then.",
    ),
    "INSTALLATION_MISCONFIGURED": Page(
        "This installation is not set up correctly",
        "The provider refuses the app's own credentials or settings. Your account is not the cause. Tell the operator.",
    ),
    "PROVIDER_UNKNOWN": Page(
        "This provider is not offered here",
        "No account was connected. Ask the operator for a link for another provider.",
    ),
}
_USES = {
    MAIL_READ: "receive mail",
    MAIL_MARK: "mark and file mail",
    MAIL_SEND: "send mail",
    CALENDAR_READ: "read calendars",
    CALENDAR_WRITE: "change calendars",
    CONVERSATION_READ: "read conversations",
    CONVERSATION_WRITE: "change conversations",
}
_CHECKS = {
    "format": "the provider's proof of identity cannot be read.",
    "key_id": "the proof is signed with a key that the provider does not publish, or names none of several.",
    "algorithm": "the proof is signed in a manner that mailmesh does not accept.",
    "signature": "the signature is not the provider's.",
    "issuer": "the proof names another issuer; the authority or the issuer in the settings may be wrong.",
    "audience": "the proof is for another app; the client id in the settings may be wrong.",
    "nonce": "the proof is of another sign-in.",
    "time": "the proof has expired or is from the future; the clock of this installation may be wrong.",
    "claims": "the proof lacks the account's identifiers.",
    "account": "the provider's API answers for another account than the proof names.",
}
"""The checks of an identity that can fail."""
_PROVIDER_DOWN = Page(
    "The provider does not answer at the moment",
    "No account was connected. Wait a few minutes, then ask for a new link.",
)
_OUR_FAILURE = Page(
    "mailmesh could not connect the account",
    "Wait a few minutes, then ask for a new link. If this stays, tell the operator.",
)
_PASSING = {"PROVIDER_UNAVAILABLE", "PROVIDER_THROTTLED", "DEADLINE_TOO_SHORT"}


def of_flow(flow: FlowRow | None) -> Page:
    """Return the page for the result of a flow; None stands for an unknown flow."""
    if flow is None:
        return _LOST
    if flow.step == CONNECTED:
        return _connected(flow)
    if flow.step == FAILED:
        return of_failure(flow.reason, flow.detail)
    return _WAITING if flow.step == EXCHANGING else _LOST


def _connected(flow: FlowRow) -> Page:
    provider = PRODUCTS.get(flow.provider, flow.provider)
    if flow.directory_id:
        text = f"mailmesh can now use the mailboxes of your {provider} organisation that its operator chooses"
        return Page("Your organisation is connected", f"{text}. You can close this page.", is_good=True)
    text = f"mailmesh can now use your {provider} account"
    granted = [_USES[ability] for ability in flow.abilities if ability in _USES and ability not in flow.detail.split()]
    missing = [_USES.get(ability, ability) for ability in flow.detail.split()]
    text += f" to {_listed(granted)}." if granted else "."
    if missing:
        text += f" You did not allow it to {_listed(missing)}; ask for a new link to allow it later."
    return Page("Your account is connected", f"{text} You can close this page.", is_good=True)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def of_failure(reason: str, detail: str = "") -> Page:
    """Return the page for a failure of the catalogue."""
    if reason in _PASSING:
        return _PROVIDER_DOWN
    page = _FAILURES.get(reason, _OUR_FAILURE)
    if reason == "SCOPE_NOT_GRANTED":
        return Page(page.title, f"{page.text} {detail}")
    if reason == "IDENTITY_UNPROVEN" and detail in _CHECKS:
        return Page(page.title, f"{page.text} The failed check ({detail}): {_CHECKS[detail]}")
    return page


def of_ticket(reason: str) -> Page:
    """Return the page for a refused ticket."""
    return _LOST if reason == "FLOW_STATE_INVALID" else of_failure(reason)


def render(page: Page) -> bytes:
    """Write the page as HTML."""
    kind = "ok" if page.is_good else "failed"
    return document(page.title, kind, f"<p>{html.escape(page.text)}</p>")


def document(title: str, kind: str, inner: str) -> bytes:
    """Write a whole document.

    Args:
        title: The title and heading, as text.
        kind: A class of the style sheet.
        inner: The markup below the heading.
    """
    heading = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{heading}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head>'
        f'<body class="{kind}"><h1>{heading}</h1>{inner}<small>mailmesh</small></body></html>'
    ).encode()
