"""Holds the answers of both token endpoints against RFC 6749, RFC 8628, OpenID Connect and the providers' documents."""

import json
import re
from dataclasses import dataclass
from types import UnionType
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Shape:
    """The properties of an answer with their types; the optional ones may be absent, and there are no others."""

    required: dict[str, type | UnionType]
    optional: dict[str, type | UnionType]

    def check(self, body: Any, where: str) -> None:
        """Asserts that a body has this shape."""
        assert isinstance(body, dict), f"{where} is no object"
        known = self.required | self.optional
        assert not self.required.keys() - body.keys(), f"{where} lacks {self.required.keys() - body.keys()}"
        for name, value in body.items():
            assert name in known, f"{where} has no {name}"
            kind = known[name]
            fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
            assert fits, f"{where}.{name} is no {kind}: {value!r}"


def _shape(required: str, optional: str = "", **others: type) -> Shape:
    names, more = required.split(), optional.split()
    return Shape({name: others.get(name, str) for name in names}, {name: others.get(name, str) for name in more})


_TOKENS = "access_token token_type expires_in"
_CONFIGURATION = (
    "issuer authorization_endpoint token_endpoint jwks_uri response_types_supported subject_types_supported "
    "id_token_signing_alg_values_supported"
)
_LISTS = dict.fromkeys(
    (
        *("response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"),
        *("code_challenge_methods_supported", "scopes_supported", "response_modes_supported"),
        *("token_endpoint_auth_methods_supported", "claims_supported", "grant_types_supported"),
    ),
    list,
)
# RFC 6749 sections 5.1 and 5.2, Microsoft's page on the authorization-code flow and on error codes.
_MICROSOFT = _shape(
    _TOKENS, "scope ext_expires_in refresh_token id_token client_info", expires_in=int, ext_expires_in=int
)
_MICROSOFT_ERROR = _shape(
    "error error_description error_codes timestamp trace_id correlation_id",
    "error_uri suberror claims",
    error_codes=list,
)
# RFC 6749 again, Google's guide for web server applications.
# The answer to a service account's assertion has no scope.
_GOOGLE = _shape(
    _TOKENS, "scope refresh_token id_token refresh_token_expires_in", expires_in=int, refresh_token_expires_in=int
)
_GOOGLE_ERROR = _shape("error", "error_description error_uri error_subtype")
_NOTHING = _shape("")
# RFC 8628 section 3.2, and the sentence that Microsoft adds.
_DEVICE = _shape("device_code user_code verification_uri expires_in interval message", expires_in=int, interval=int)
_TOKENINFO = _shape("azp aud sub scope expires_in")
_USERINFO = _shape("sub", "name given_name family_name email email_verified hd picture", email_verified=bool)
_DISCOVERY = Shape(
    {name: _LISTS.get(name, str) for name in _CONFIGURATION.split()},
    {
        **_LISTS,
        **dict.fromkeys(("userinfo_endpoint", "revocation_endpoint", "device_authorization_endpoint"), str),
        **dict.fromkeys(("end_session_endpoint", "kerberos_endpoint", "cloud_instance_name"), str),
        **dict.fromkeys(("cloud_graph_host_name", "msgraph_host", "rbac_url"), str),
        "tenant_region_scope": str | None,
    },
)
_SHAPES: tuple[tuple[str, Shape, Shape], ...] = (
    (r"/[^/]+/oauth2/v2\.0/token", _MICROSOFT, _MICROSOFT_ERROR),
    (r"/[^/]+/oauth2/v2\.0/devicecode", _DEVICE, _MICROSOFT_ERROR),
    (r"/token", _GOOGLE, _GOOGLE_ERROR),
    (r"/revoke", _NOTHING, _GOOGLE_ERROR),
    (r"/tokeninfo|/oauth2/v3/tokeninfo", _TOKENINFO, _GOOGLE_ERROR),
    (r"/v1/userinfo|/oauth2/v3/userinfo", _USERINFO, _shape("error", error=dict)),
    (r"(?:/[^/]+(?:/v2\.0)?)?/\.well-known/openid-configuration", _DISCOVERY, _MICROSOFT_ERROR),
)


def check_answer(url: str, status: int, content: bytes) -> bool:
    """Asserts that an answer of a token endpoint has its form, and returns whether the address is one of these."""
    path = urlsplit(url).path
    for pattern, good, bad in _SHAPES:
        if re.fullmatch(pattern, path):
            shape = good if status == 200 else bad
            shape.check(json.loads(content), f"{path} ({status})")
            return True
    return False
