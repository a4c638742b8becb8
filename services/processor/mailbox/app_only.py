"""Address a mailbox at Microsoft with the app's own token, or with that of a shared mailbox's owner: "me" is not it.

The user comes from the answer that lent the token, so that no other part of Processor chooses whose mailbox such a
token reads.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from mailmesh.vault.v1 import tenant_pb2
from services.providers.names import MS365

APP = "app"
_ME = re.compile(r"^(https?://[^/?#]+(?:/(?!users/|me(?:[/?]|$))[^/?#]*)*)/me(?=[/?]|$)")
_ME_OF_BATCH = re.compile(r"^/me(?=[/?]|$)")


def self_addressed(tenant: tenant_pb2.Tenant, url: str, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a request with the tenant's own user in the place of "me", if the tenant's tokens are not its own.

    Args:
        tenant: The tenant that the token was lent for.
        url: The complete URL.
        request: The other parts of the request; `body` may be a batch.
    """
    if tenant.provider != MS365 or (tenant.token_type != APP and not tenant.owner_tenant_id):
        return url, dict(request)
    user = f"/users/{quote(tenant.user_id, safe='')}"
    body = request.get("body")
    if not isinstance(body, dict) or not isinstance(body.get("requests"), list):
        return _ME.sub(lambda found: found[1] + user, url), dict(request)
    parts = [{**part, "url": _ME_OF_BATCH.sub(lambda _: user, part["url"])} for part in body["requests"]]
    return url, {**request, "body": {**body, "requests": parts}}
