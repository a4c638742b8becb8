"""Failures of keys and seals that a caller can act on."""

from datetime import timedelta

from services.meshkit.errors import DataLoss, FailedPrecondition, Unavailable


class KeyRetiring(FailedPrecondition):
    """A key-encryption key cannot be rotated or retired yet."""

    reason = "KEY_RETIRING"


class KeyUnavailable(Unavailable):
    """The required key-encryption key is not loaded in this process."""

    reason = "KEY_UNAVAILABLE"
    default_retry_after = timedelta(seconds=30)


class SealBroken(DataLoss):
    """A sealed credential does not open."""

    reason = "SEAL_BROKEN"
