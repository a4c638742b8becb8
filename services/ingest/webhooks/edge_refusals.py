"""Learns what the edge refused without asking us: webhooks over the rate, or while too many were under way.

The provider sends most of that again, but not for ever and not all of it. Envoy counts it; what has been added since
the last look is noted beside our own refusals, and a rise of them has the mailboxes compared.
"""

import httpx

from services.ingest.errors import EdgeUnavailable
from services.ingest.metrics import REFUSED
from services.ingest.store.refusals import EdgeRefusalStore
from services.meshkit.clock import Clock

CALL_SECONDS = 2.0
COUNTERS = (
    "webhooks.http_local_rate_limit.enforced",
    "cluster.ingest.upstream_rq_pending_overflow",
    "cluster.ingest.upstream_cx_none_healthy",
    "cluster.ingest.upstream_rq_timeout",
)
"""Of Envoy: the bucket of webhooks, too many under way, nobody well to send to, too late."""
_FILTER = "^(" + "|".join(name.replace(".", "[.]") for name in COUNTERS) + ")$"


class EdgeRefusals:
    """Reads the edge's counters and notes what was added.

    Args:
        http: A client without credentials: the admin interface is on loopback.
        admin_urls: Addresses of the admin interfaces of all processes of the edge.
        store: Where it is noted. Several processes of ours that look at the same edge note it once.
        clock: The time.
    """

    def __init__(
        self, http: httpx.AsyncClient, admin_urls: tuple[str, ...], store: EdgeRefusalStore, clock: Clock
    ) -> None:
        self._http = http
        self._admin_urls = admin_urls
        self._store = store
        self._clock = clock

    async def round(self) -> int:
        """Looks at every edge. Safe to call again.

        Returns:
            Always 0: the next round can wait.

        Raises:
            EdgeUnavailable: An edge does not answer; what it refuses meanwhile is found at the next look.
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        for url in self._admin_urls:
            added = await self._store.note(url, await self._total(url), self._clock.now())
            REFUSED.labels("edge").inc(added)
        return 0

    async def _total(self, url: str) -> int:
        try:
            answer = await self._http.get(
                f"{url}/stats", params={"format": "json", "filter": _FILTER}, timeout=CALL_SECONDS
            )
            answer.raise_for_status()
            return sum(int(counter.get("value", 0)) for counter in answer.json()["stats"])
        except (httpx.HTTPError, KeyError, ValueError) as exc:
            raise EdgeUnavailable(metadata={"peer": "edge"}) from exc
