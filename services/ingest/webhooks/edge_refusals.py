"""Counts the webhooks that the edge refused by itself: over the rate limit, or with too many requests in progress.

The provider redelivers most of them, but neither for ever nor all. Envoy counts its refusals; their growth is stored
beside our own refusals, and a rise makes the mailboxes reconcile.
"""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from services.ingest.errors import EdgeUnavailable
from services.ingest.metrics import REFUSED
from services.ingest.store import refusals
from services.meshkit import db
from services.meshkit.clock import Clock

CALL_SECONDS = 2.0
COUNTERS = (
    "webhooks.http_local_rate_limit.enforced",
    "cluster.ingest.upstream_rq_pending_overflow",
    "cluster.ingest.upstream_cx_none_healthy",
    "cluster.ingest.upstream_rq_timeout",
)
"""Envoy's counters: rate limit of webhooks, too many requests in progress, no healthy upstream, timeout."""
_FILTER = "^(" + "|".join(name.replace(".", "[.]") for name in COUNTERS) + ")$"


class EdgeRefusals:
    """Reads the edge's counters and stores their growth.

    Args:
        http: A client without credentials: metrics need none.
        admin_urls: Addresses of the metrics of all processes of the edge, without the path.
        pool: Connections to PostgreSQL. Several processes that read the same edge count its refusals once.
        clock: The time.
    """

    def __init__(self, http: httpx.AsyncClient, admin_urls: tuple[str, ...], pool: db.Pool, clock: Clock) -> None:
        self._http = http
        self._admin_urls = admin_urls
        self._pool = pool
        self._clock = clock

    async def round(self) -> int:
        """Read the counters of every edge. Safe to call again.

        Returns:
            Always 0: the next round can wait.

        Raises:
            EdgeUnavailable: An edge does not answer; the next round counts its refusals in the meantime.
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        for url in self._admin_urls:
            total = await self._total(url)
            added = await refusals.note_edge_total(self._pool, url, total, self._clock.now())
            REFUSED.labels("edge").inc(added)
        return 0

    async def _total(self, url: str) -> int:
        try:
            answer = await self._http.get(f"{url}/stats/prometheus", params={"filter": _FILTER}, timeout=CALL_SECONDS)
            families = text_string_to_metric_families(answer.raise_for_status().text)
            return sum(int(sample.value) for family in families for sample in family.samples)
        except (httpx.HTTPError, ValueError) as exc:
            raise EdgeUnavailable(metadata={"peer": "edge"}) from exc
