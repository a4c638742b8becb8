"""The pages of a sign-in that failed, with the next step. They hold no script and no secret."""

from services.token_vault.accounts.result_pages import Page

_AGAIN = "Go back to the console and sign in again."
_PAGES = {
    "SIGN_IN_NOT_OFFERED": Page(
        "No identity provider is set here",
        "Sign in to the console with an API key, or ask the operator to set one up.",
    ),
    "FLOW_STATE_INVALID": Page(
        "The sign-in could not be finished",
        f"It took longer than ten minutes, was used before, or began in another browser. {_AGAIN}",
    ),
    "CONSENT_DENIED": Page("Your organisation did not sign you in", f"You or its sign-in page refused. {_AGAIN}"),
    "IDENTITY_UNPROVEN": Page(
        "Your identity could not be verified",
        f"{_AGAIN} If this happens again, tell the operator: the clock or the settings of the identity provider may be"
        " wrong.",
    ),
    "INSTALLATION_MISCONFIGURED": Page(
        "The sign-in is not set up correctly",
        "The identity provider refuses mailmesh itself, or its settings name another provider. Tell the operator.",
    ),
    "SESSION_LIMIT_REACHED": Page(
        "You are signed in in too many browsers", "Sign out everywhere in one of them, then sign in again."
    ),
    "PROVIDER_UNAVAILABLE": Page(
        "Your organisation's sign-in does not answer at the moment", "Wait a few minutes, then sign in again."
    ),
}
_PAGES["PROVIDER_THROTTLED"] = _PAGES["PROVIDER_UNAVAILABLE"]
_NOT_ALLOWED = {
    "groups": Page(
        "You may not use this console",
        "Your organisation signed you in, but none of your groups has rights here. Ask the operator for one that has.",
    ),
    "too_many_groups": Page(
        "Your groups could not be read",
        "You have more groups than the identity provider puts into a token. Ask the operator to let it send only the"
        " groups of this app, or roles of the app.",
    ),
}
_OUR_FAILURE = Page(
    "mailmesh could not sign you in", "Wait a few minutes, then sign in again. If this stays, tell the operator."
)


def of_failure(reason: str, detail: str) -> Page:
    """Return the page for a failure of the catalogue.

    Args:
        reason: The reason.
        detail: Of SIGN_IN_NOT_ALLOWED: `groups` or `too_many_groups`.
    """
    if reason == "SIGN_IN_NOT_ALLOWED":
        return _NOT_ALLOWED[detail]
    return _PAGES.get(reason, _OUR_FAILURE)
