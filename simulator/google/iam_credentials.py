"""The IAM Credentials API: an identity with the role has Google sign a JWT for a service account."""

import json
from typing import Any

from simulator.google.errors import api_reply
from simulator.http import ApiError, Call, Operations, Reply
from simulator.state import World

SCOPES = ("https://www.googleapis.com/auth/iam", "https://www.googleapis.com/auth/cloud-platform")
_LONGEST_SECONDS = 12 * 3600
_DENIED = "Permission 'iam.serviceAccounts.signJwt' denied on resource (or it may not exist)."


class IamCredentials:
    """`projects.serviceAccounts.signJwt`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, operations: Operations) -> None:
        """Add the operation to the provider's table."""
        path = "/v1/projects/-/serviceAccounts/{account}:signJwt"
        operations.add("iam.signJwt", "POST", path, self.sign, scopes=SCOPES)

    def sign(self, call: Call) -> Reply:
        """Sign a JWT's claims, or refuse to."""
        assert call.grant is not None  # noqa: S101 - the operation needs a token
        account = self._world.service_accounts.get(call.params["account"])
        if account is not None and not account.is_api_enabled:
            raise _refusal("SERVICE_DISABLED", "IAM Service Account Credentials API has not been used in the project.")
        # An account that does not exist is answered as one that the caller may not use.
        if account is None or call.grant.client_id not in account.signers:
            raise _refusal("IAM_PERMISSION_DENIED", _DENIED)
        key_id, signed = account.signed(self._claims(call))
        return Reply(200, {"keyId": key_id, "signedJwt": signed})

    def _claims(self, call: Call) -> dict[str, Any]:
        payload = call.fields(("payload", "delegates")).get("payload")
        try:
            claims = json.loads(payload) if isinstance(payload, str) else None
        except ValueError:
            claims = None
        if not isinstance(claims, dict):
            raise ApiError(api_reply(400, "badRequest", "JWT payload must be a valid JSON object."))
        now, end = self._world.clock.seconds(), claims.get("exp")
        if end is not None and not (type(end) is int and now <= end <= now + _LONGEST_SECONDS):
            raise ApiError(api_reply(400, "badRequest", "The exp claim must be at most 12 hours in the future."))
        return claims


def _refusal(reason: str, message: str) -> ApiError:
    """Return a 403 with the `google.rpc.ErrorInfo` that tells why."""
    reply = api_reply(403, "forbidden", message)
    assert isinstance(reply.body, dict)  # noqa: S101 - as made
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}
    reply.body["error"]["details"] = [info]
    return ApiError(reply)
