"""Failures of signing in at an identity provider that a caller can act on."""

from services.meshkit.errors import FailedPrecondition, NotFound, PermissionDenied, Unauthenticated


class SignInNotOffered(FailedPrecondition):
    """No identity provider is configured."""

    reason = "SIGN_IN_NOT_OFFERED"


class AgentSignInNotOffered(NotFound):
    """No identity provider is configured: agents use API keys."""

    reason = "AGENT_SIGN_IN_NOT_OFFERED"
    resource_type = "protected_resource"


class AccessTokenInvalid(Unauthenticated):
    """The access token is not valid here."""

    reason = "ACCESS_TOKEN_INVALID"


class SignInNotAllowed(PermissionDenied):
    """The identity provider signed the person in, and no group of the person has rights here."""

    reason = "SIGN_IN_NOT_ALLOWED"
