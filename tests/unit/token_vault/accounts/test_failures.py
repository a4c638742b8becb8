"""Failures of providers, and their translation into ours."""

import google.auth.exceptions
import pytest

from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret
from services.token_vault.accounts import result_pages
from services.token_vault.accounts.redirect_errors import refusal
from services.token_vault.errors import FlowFailed
from services.token_vault.issuers import google as google_issuer
from services.token_vault.issuers import microsoft
from services.token_vault.issuers.http import transient_failure
from services.token_vault.issuers.issuer import GrantError, PassingRefusal
from services.token_vault.issuers.microsoft_client import failure_of
from services.token_vault.issuers.refusals import ADMIN_CONSENT, GROUPS, PASSING_CAUSES
from services.token_vault.tokens.grant_state import pause_after, sentence


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        ({"error": "invalid_grant", "error_codes": [50173]}, ("grant_revoked", "invalid_grant 50173")),
        ({"error": "invalid_grant", "error_codes": [700082]}, ("grant_expired", "invalid_grant 700082")),
        ({"error": "interaction_required", "error_codes": [50076]}, ("mfa_needed", "interaction_required 50076")),
        ({"error": "invalid_grant", "suberror": "bad_token"}, ("grant_revoked", "invalid_grant")),
        ({"error": "consent_required"}, ("consent_missing", "consent_required")),
        ({"error": "invalid_grant", "error_codes": [53003]}, ("passing", "conditional_access", "invalid_grant 53003")),
        ({"error": "invalid_grant", "error_codes": [50053]}, ("passing", "account_locked", "invalid_grant 50053")),
        ({"error": "invalid_grant", "error_codes": [90013]}, ("passing", "refused", "invalid_grant 90013")),
        ({"error": "invalid_grant", "error_codes": [50057]}, ("passing", "account_disabled", "invalid_grant 50057")),
        ({"error": "invalid_grant"}, ("passing", "refused", "invalid_grant")),
        ({"error": "invalid_grant", "error_codes": [99999]}, ("passing", "refused", "invalid_grant 99999")),
        ({"error": "something_new"}, ("passing", "refused", "something_new")),
        ({"error": "consent_required", "error_codes": [90094]}, ("passing", ADMIN_CONSENT, "consent_required 90094")),
        ({"error": "unauthorized_client", "error_codes": [700016]}, "INSTALLATION_MISCONFIGURED"),
        ({"error": "unauthorized_client"}, "INSTALLATION_MISCONFIGURED"),
        ({"error": "invalid_grant", "error_codes": [7000112]}, "INSTALLATION_MISCONFIGURED"),
        ({"error": "invalid_client", "error_codes": [7000222]}, "INSTALLATION_MISCONFIGURED"),
        ({"error": "temporarily_unavailable"}, "PROVIDER_UNAVAILABLE"),
        ({"error": "temporarily_unavailable", "error_codes": [50196]}, "PROVIDER_UNAVAILABLE"),
        ({"error": "invalid_grant", "error_codes": [90033]}, "PROVIDER_UNAVAILABLE"),
    ],
)
def test_what_microsoft_says(answer: dict[str, object], meant: object) -> None:
    assert meant == _meaning(failure_of(answer))


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (("x", {"error": "invalid_grant"}), ("grant_revoked", "invalid_grant")),
        (
            ("x", {"error": "invalid_grant", "error_subtype": "invalid_rapt"}),
            ("reauthentication_required", "invalid_grant invalid_rapt"),
        ),
        (("x", {"error": "admin_policy_enforced"}), ("passing", ADMIN_CONSENT, "admin_policy_enforced")),
        (("x", {"error": "access_denied"}), ("passing", "refused", "access_denied")),
        (
            ("x", {"error": "invalid_grant", "error_subtype": "admin_policy_enforced"}),
            ("passing", ADMIN_CONSENT, "invalid_grant admin_policy_enforced"),
        ),
        (
            ("x", {"error": "invalid_grant", "error_subtype": "new_word"}),
            ("passing", "refused", "invalid_grant new_word"),
        ),
        (("x", {"error": "deleted_client"}), "INSTALLATION_MISCONFIGURED"),
        (("Reauthentication is needed. Please run `gcloud`",), ("reauthentication_required", "invalid_rapt")),
        (("x", {"error": "invalid_client"}), "INSTALLATION_MISCONFIGURED"),
        (("x", {"error": "unauthorized_client"}), "INSTALLATION_MISCONFIGURED"),
        (("x", {"error": "internal_failure"}), "PROVIDER_UNAVAILABLE"),
        (("x", {"error": "something_new"}), ("passing", "refused", "something_new")),
        (("<html>502</html>",), "PROVIDER_UNAVAILABLE"),
    ],
)
def test_what_google_says(args: tuple[object, ...], meant: object) -> None:
    error = google.auth.exceptions.RefreshError(*args)  # type: ignore[no-untyped-call]

    assert meant == _meaning(google_issuer._refresh_failure(error))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, ""),
        (400, ""),
        (401, ""),
        (429, "PROVIDER_THROTTLED"),
        (500, "PROVIDER_UNAVAILABLE"),
        (503, "PROVIDER_UNAVAILABLE"),
    ],
)
def test_servers_in_trouble_are_told_from_answers(status: int, reason: str) -> None:
    error = transient_failure("ms365", status, {})

    assert reason == (error.reason if error else "")


@pytest.mark.parametrize(
    ("error", "description", "reason"),
    [
        ("", "", None),
        ("access_denied", "", "CONSENT_DENIED"),
        ("access_denied", "AADSTS90094: Admin consent is required", "ADMIN_CONSENT_NEEDED"),
        ("consent_required", "AADSTS65001", "CONSENT_DENIED"),
        ("admin_policy_enforced", "", "ADMIN_CONSENT_NEEDED"),
        ("temporarily_unavailable", "", "PROVIDER_UNAVAILABLE"),
        ("invalid_scope", "", "INSTALLATION_MISCONFIGURED"),
        ("<script>", "x" * 10_000, "FLOW_STATE_INVALID"),
    ],
)
def test_what_a_browser_brings_back(error: str, description: str, reason: str | None) -> None:
    meant = refusal("ms365", error, description, "")

    assert reason == (meant.reason if meant else None)


def test_the_settings_spelling_of_a_scope_wins_over_that_of_an_ability() -> None:
    mail = "https://microsoftgraph.chinacloudapi.cn/Mail.Read"
    secret, scopes = Secret("secret"), ("openid", "User.Read", mail)
    issuer = microsoft.MicrosoftIssuer.__new__(microsoft.MicrosoftIssuer)
    issuer._settings = microsoft.MicrosoftSettings("https://login.test/o", "", "client", secret, scopes, "")

    assert {"User.Read", mail, "Mail.Send"} == set(issuer._asked_scopes(["Mail.Read", "Mail.Send"]))


def test_scopes_are_the_same_however_a_provider_spells_them() -> None:
    needed = ("User.Read", "Mail.Read", "openid")
    issuer = microsoft.MicrosoftIssuer.__new__(microsoft.MicrosoftIssuer)
    other = google_issuer.GoogleIssuer.__new__(google_issuer.GoogleIssuer)

    assert () == issuer.missing_scopes(["https://graph.microsoft.com/mail.read", "User.Read"], needed)
    assert ("Mail.Read",) == issuer.missing_scopes(["User.Read"], needed)
    assert () == other.missing_scopes(["https://www.googleapis.com/auth/userinfo.email"], ["email"])
    assert ("email",) == other.missing_scopes(["openid"], ["email"])


def test_every_way_to_fail_has_words_of_its_own() -> None:
    reasons = {error.reason for error in FlowFailed.__subclasses__()}
    reasons |= {"SCOPE_NOT_GRANTED", "PROVIDER_UNAVAILABLE", "TENANT_DISCONNECTED", "INSTALLATION_MISCONFIGURED"}

    titles = {reason: result_pages.of_failure(reason).title for reason in reasons}

    assert len(reasons) == len(set(titles.values()))
    assert result_pages._OUR_FAILURE.title not in titles.values()


def test_a_page_escapes_what_it_shows() -> None:
    page = result_pages.render(result_pages.of_failure("SCOPE_NOT_GRANTED", "<script>alert(1)</script>")).decode()

    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_every_cause_ends_with_what_to_do() -> None:
    assert sentence("grant_revoked").endswith("Connect the account again.")
    assert sentence("never heard of").endswith("Connect the account again.")
    assert [] == [cause for cause in PASSING_CAUSES if "onnect the account again" in sentence(cause)]


def test_no_number_of_microsoft_stands_in_two_groups() -> None:
    numbers = [number for _, group in GROUPS for found in group.values() for number in found]

    assert len(set(numbers)) == len(numbers) > 300


def test_the_pauses_after_refusals_grow_and_stay_bounded() -> None:
    pauses = [pause_after(failures).total_seconds() for failures in (1, 2, 3, 9, 10_000)]

    assert [15, 30, 60, 3600, 3600] == pauses


def _meaning(error: Exception) -> object:
    if isinstance(error, PassingRefusal):
        return "passing", error.cause, error.provider_code
    if isinstance(error, GrantError):
        return error.cause, error.provider_code
    assert isinstance(error, MeshError)
    return error.reason
