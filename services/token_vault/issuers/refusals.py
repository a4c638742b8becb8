"""The meaning of a token endpoint's refusal: one table of Microsoft's numbers, and one of both providers' words.

A refusal has one of four meanings, and each is treated differently:

    GRANT     the grant is gone, or wants its person: only a new sign-in helps, and nothing is retried by itself
    PASSING   a policy, a setting or the state of the account, or a moment: the same refresh token may work later
    APP       this installation's own registration, secret or request: no tenant is marked
    OUTAGE    a failure of the provider itself

The most specific statement wins: the provider's number, then its finer word, then its word. A refusal that the tables
do not know is PASSING: it is retried, and no account is lost to a number that is new.

Sources: "Microsoft Entra authentication & authorization error codes", with every number of its table, and the words
and finer words (`suberror`) of the same platform; Google's "Using OAuth 2.0 to Access Google APIs" and "Understand &
fix error codes"; RFC 6749, sections 4.1.2.1 and 5.2. Microsoft may add numbers at any time.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from services.providers.names import GOOGLEWS, MS365

ADMIN_CONSENT = "admin_consent_needed"
"""The cause of a refusal that an administrator must fix."""
OWNER_UNAVAILABLE = "owner_unavailable"
"""The cause of a shared mailbox whose owner's tenant gives no token."""
UNKNOWN = "refused"
"""The cause of a refusal that the tables do not name."""


class Kind(Enum):
    """The meaning of a refusal."""

    GRANT = "grant"
    PASSING = "passing"
    APP = "app"
    OUTAGE = "outage"


@dataclass(frozen=True)
class Refusal:
    """A refusal, understood.

    Args:
        kind: Its meaning.
        cause: A machine-readable cause: "grant_revoked", "conditional_access", ...
    """

    kind: Kind
    cause: str


_Group = Mapping[str, Collection[int]]

_GRANT: _Group = {
    # 70000 is a token or code that is not valid; 501481 and 700005 concern codes, 54005 both.
    "grant_revoked": (50013, 50132, 50133, 50139, 50173, 70000, 140000, 140001, 500133),
    "grant_expired": (50089, 70008, 70019, 700082, 700084),
    "reauthentication_required": (
        16000, 16001, 16002, 50058, 50085, 50140, 50143, 50168, 50199, 51006, 70043, 75011, 160021, 700020,
    ),
    "mfa_needed": (50072, 50074, 50076, 50078, 50079, 50125, 50158, 53004),
    "consent_missing": (52004, 65001, 65004, 90008),
    "code_already_used": (54005,),
    "code_invalid": (70018, 90119, 90120, 501481, 700005),
}  # fmt: skip

_PASSING: _Group = {
    "conditional_access": (
        50002, 50005, 50097, 50127, 50129, 50131, 50155, 50187, 53000, 53001, 53002, 53003, 53010, 53011, 54000,
        130004, 130005, 130006, 130007, 130008, 135010, 135011, 220450, 221000, 240001, 500021, 500022, 500212, 500213,
        530032, 530034, 530035, 1000104,
    ),
    "account_locked": (50053, 120014),
    "account_disabled": (50057,),
    "account_unknown": (
        16003, 50014, 50020, 50034, 50197, 51004, 81011, 90072, 90084, 90125, 90126, 120016, 500208, 1000000,
    ),
    "assignment_missing": (50105,),
    "password_expired": (
        50055, 50135, 50144, 120000, 120002, 120003, 120004, 120005, 120008, 120011, 120012, 120013, 120015, 120018,
        120020, 120021,
    ),
    "password_refused": (50056, 50064, 50126, 50192),
    "age_consent_missing": (50015,),
    OWNER_UNAVAILABLE: (),
    "service_not_enabled": (51000, 90085, 650052, 1000031),
    ADMIN_CONSENT: (90093, 90094, 90095, 90099, 900941),
    # The organisation's own identity provider, or the agent that asks it.
    "federation": (
        20001, 20012, 20033, 40008, 40009, 40010, 40015, 50008, 50017, 50099, 50107, 50120, 50124, 50161, 50166, 50169,
        50170, 50177, 50178, 50180, 51001, 80001, 80002, 80005, 80007, 80010, 80012, 80013, 80014, 81004, 81005, 81006,
        81007, 81009, 81010, 81012, 90022, 90081, 90082, 90086, 90087, 90123, 220501, 501241, 501621, 5000819,
    ),
    "too_many_requests": (50088, 50196, 90055),
    # Numbers that name no cause.
    UNKNOWN: (
        17003, 50000, 50032, 50042, 50043, 50061, 50068, 50070, 50071, 50086, 50134, 50136, 51005, 90007, 90013, 90036,
        90092, 90101, 90107, 90117, 90121, 165004, 165900, 1000002,
    ),
}  # fmt: skip

_APP: _Group = {
    "app_registration": (
        # The secret, the certificate or the assertion.
        50003, 50006, 50007, 50012, 50027, 50048, 50146, 70002, 76021, 90016, 90020, 90114, 240002, 501461, 700025,
        700027, 700030, 700229, 900384, 7000114, 7000215, 7000218, 7000222,
        # The registration: unknown, disabled, single-tenant, without the address or the permission.
        50010, 50011, 50194, 65002, 65005, 67003, 70001, 70004, 90009, 500112, 650054, 650056, 650057, 700011, 700016,
        700054, 900971, 7000112, 9002332,
        # The cloud, the authority or the directory of the settings.
        50029, 50049, 50050, 50059, 50128, 90002, 90019, 90027, 90038, 90043, 90051, 90124, 90130, 100007, 230109,
        900382, 900432, 9001023,
        # The request.
        28002, 28003, 50001, 50147, 70003, 70005, 70007, 70011, 70016, 75001, 75003, 75005, 75008, 75016, 76026, 90004,
        90005, 90010, 90014, 90015, 90023, 90056, 90100, 90102, 500011, 501491, 700022, 700023, 750054, 900144, 900236,
        900561, 901002, 7500514, 7500529, 9002313,
    ),
}  # fmt: skip

_OUTAGE: _Group = {
    "provider_trouble": (50033, 50087, 70012, 90006, 90012, 90024, 90033, 90090, 90091),
}


def _numbers(*groups: tuple[Kind, _Group]) -> Mapping[int, Refusal]:
    return {
        number: Refusal(kind, cause)
        for kind, group in groups
        for cause, numbers in group.items()
        for number in numbers
    }  # fmt: skip


GROUPS = ((Kind.GRANT, _GRANT), (Kind.PASSING, _PASSING), (Kind.APP, _APP), (Kind.OUTAGE, _OUTAGE))
"""The groups of the table, by meaning. No number stands in two."""
MICROSOFT_NUMBERS: Mapping[int, Refusal] = _numbers(*GROUPS)
"""Microsoft's numbers (`AADSTS...`)."""

_REGISTRATION = Refusal(Kind.APP, "app_registration")
_PROVIDER_FAILURE = Refusal(Kind.OUTAGE, "provider_trouble")
_OURS = (
    "invalid_client", "unauthorized_client", "invalid_request", "invalid_scope", "unsupported_grant_type",
    "unsupported_response_type", "redirect_uri_mismatch",
)  # fmt: skip

WORDS: Mapping[str, Mapping[str, Refusal]] = {
    MS365: {
        # Finer words (`suberror`). Others say how a client should ask, and not which cause the refusal has.
        "bad_token": Refusal(Kind.GRANT, "grant_revoked"),
        "token_expired": Refusal(Kind.GRANT, "grant_expired"),
        "basic_action": Refusal(Kind.GRANT, "reauthentication_required"),
        "user_password_expired": Refusal(Kind.PASSING, "password_expired"),
        "protection_policy_required": Refusal(Kind.PASSING, "conditional_access"),
        "device_authentication_failed": Refusal(Kind.PASSING, "conditional_access"),
        "client_mismatch": _REGISTRATION,
        # Words.
        "consent_required": Refusal(Kind.GRANT, "consent_missing"),
        "interaction_required": Refusal(Kind.GRANT, "reauthentication_required"),
        "login_required": Refusal(Kind.GRANT, "reauthentication_required"),
        **dict.fromkeys((*_OURS, "invalid_resource"), _REGISTRATION),
        **dict.fromkeys(("temporarily_unavailable", "server_error"), _PROVIDER_FAILURE),
    },
    GOOGLEWS: {
        # Finer words (`error_subtype`).
        "invalid_rapt": Refusal(Kind.GRANT, "reauthentication_required"),
        "rapt_required": Refusal(Kind.GRANT, "reauthentication_required"),
        # Words. Google's `invalid_grant` has no number; the documentation names a revoked or an expired token.
        "invalid_grant": Refusal(Kind.GRANT, "grant_revoked"),
        "admin_policy_enforced": Refusal(Kind.PASSING, ADMIN_CONSENT),
        "access_not_configured": Refusal(Kind.PASSING, ADMIN_CONSENT),
        "policy_enforced": Refusal(Kind.PASSING, "conditional_access"),
        "account_disabled": Refusal(Kind.PASSING, "account_disabled"),
        **dict.fromkeys(
            (*_OURS, "deleted_client", "disabled_client", "org_internal", "origin_mismatch", "app_not_verified"),
            _REGISTRATION,
        ),
        **dict.fromkeys(
            ("temporarily_unavailable", "server_error", "internal_failure", "internal_error", "backend_error",
             "rate_limit_exceeded"),
            _PROVIDER_FAILURE,
        ),
    },
}  # fmt: skip
"""The words of each provider, the finer ones first."""

PASSING_CAUSES = frozenset(_PASSING)
"""The causes of refusals that may pass."""


def meaning_of(provider: str, error: str, finer: str = "", numbers: Sequence[int] = ()) -> Refusal:
    """Look a refusal up.

    Args:
        provider: A name from `names`.
        error: The word of the answer, `error`.
        finer: `suberror` at Microsoft, `error_subtype` at Google; empty without one.
        numbers: Microsoft's numbers, `error_codes`, in its order.
    """
    words = WORDS[provider]
    if error in words and words[error].kind is Kind.OUTAGE:
        return words[error]
    named = [MICROSOFT_NUMBERS[number] for number in numbers if number in MICROSOFT_NUMBERS]
    if named and provider == MS365:
        return named[0]
    if finer and finer not in words and error == "invalid_grant":
        # A finer word that is new may name a policy as well as the end of the grant.
        return Refusal(Kind.PASSING, UNKNOWN)
    return words.get(finer) or words.get(error) or Refusal(Kind.PASSING, UNKNOWN)
