"""Failures of lending and refreshing tokens that a caller can act on."""

from services.meshkit.errors import FailedPrecondition, InvalidArgument


class MinimumSecondsTooLarge(InvalidArgument):
    """No token is certain to last that long."""

    reason = "MINIMUM_SECONDS_TOO_LARGE"


class TenantNeedsReauthorization(FailedPrecondition):
    """The provider no longer honours the grant: a person must connect the account again."""

    reason = "TENANT_NEEDS_REAUTHORIZATION"


class TenantDisabled(FailedPrecondition):
    """The tenant is disabled: enable it first."""

    reason = "TENANT_DISABLED"


class TenantInError(FailedPrecondition):
    """The tenant has an error that a person must fix; its status_detail has the details."""

    reason = "TENANT_IN_ERROR"
