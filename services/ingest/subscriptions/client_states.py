"""The secrets that Graph repeats in each notification of a subscription; only their digests are stored."""

import hashlib
import secrets

from services.ingest.errors import ProviderUnavailable
from services.ingest.store import subscription_leases as store
from services.ingest.store.subscription_rows import SubscriptionRow
from services.meshkit import db
from services.meshkit.secret import Secret


async def new_client_state(pool: db.Pool, row: SubscriptionRow, certificate_id: str = "") -> Secret:
    """Make the secret of the next create call, and store its digest before the call.

    Args:
        pool: Connections to PostgreSQL.
        row: The leased subscription.
        certificate_id: The certificate of the call; empty for one without resource data.

    Raises:
        ProviderUnavailable: The lease on the subscription is lost.
    """
    client_state = Secret(secrets.token_urlsafe(48))
    digest = hashlib.sha256(client_state.reveal().encode()).digest()
    async with db.transaction(pool) as connection:
        if not await store.put_client_state(connection, row, digest, certificate_id):
            raise ProviderUnavailable("Another process holds the lease on the subscription.")
    return client_state
