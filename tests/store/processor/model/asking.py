"""Tenants that ask the simulated model in a test's database; Primitives' own servicer looks the quotes up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp.abc import AbstractResolver
from starlette.applications import Starlette

from mailmesh.primitives.v1 import primitive_service_pb2 as primitives_pb2
from mailmesh.primitives.v1 import quote_service_pb2
from mailmesh.processor.v1 import model_service_pb2 as pb2
from mailmesh.vault.v1 import tenant_pb2
from services.egress.addresses import EgressRules
from services.egress.client import EgressClient
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.meshkit.shares import Shares
from services.primitives.sandbox.confine import Confinement
from services.primitives.sandbox.pool import Sandbox, SandboxLimits
from services.primitives.servicers.quotes import QuoteServicer
from services.processor.model.asking import Asker
from services.processor.model.endpoint import ModelAddress, ModelEndpoint
from services.processor.model.requests import Models
from services.processor.stream.store import tenants
from simulator.model import NAME, PATH, SimulatedModel
from simulator.serving import HOST, listen, make_server

LIMITS = SandboxLimits(1, 60, Confinement(1024 * 1024 * 1024, 20.0, 65534))
LABELS = (
    primitives_pb2.ClassifyLabel(
        name="bill", examples=["The amount on your bill is wrong.", "Our invoice is attached."]
    ),
    primitives_pb2.ClassifyLabel(name="delivery", examples=["Where is my parcel?", "My order has not arrived."]),
)
NAMES = {"bill", "delivery", "unknown"}
PARCEL = "Two of the five chairs that we ordered are missing from the parcel."
SCHEMA = {
    "type": "object",
    "required": ["total"],
    "properties": {"total": {"format": "amount"}, "due": {"format": "date"}},
}
ORDER = "Order 118\nTotal: 1.234,56 EUR\nDue: 24.12.2026\n"
KEY = "planted-key-of-the-model"


class Quotes:
    """Primitives' servicer, called as its stub is."""

    def __init__(self, servicer: QuoteServicer) -> None:
        self._servicer = servicer

    async def CheckQuotes(
        self, request: quote_service_pb2.CheckQuotesRequest, timeout: float
    ) -> quote_service_pb2.CheckQuotesResponse:
        assert timeout > 0
        return await self._servicer.CheckQuotes(request, None)  # type: ignore[arg-type]


class Ground:
    """A tenant, the simulated model, and the use cases.

    Args:
        pool: Connections to PostgreSQL.
        model: The simulated model.
        url: Its base address.
        client: The guarded way out.
        quotes: Looks quotes up.
    """

    def __init__(
        self, pool: db.Pool, model: SimulatedModel, url: str, client: EgressClient, quotes: Quotes, seconds: float
    ) -> None:
        self.pool, self.model, self.url, self.tenant = pool, model, url, new_id()
        self._client, self._quotes, self._seconds = client, quotes, seconds
        self.models = self.another()

    def another(self, *, tokens_per_day: int = 1_000_000, calls: int = 100, attempts: int = 2) -> Models:
        """Return the use cases of another process, or of other settings."""
        endpoint = ModelEndpoint(self._client, ModelAddress(self.url, NAME, Secret(KEY)), self._seconds, attempts)
        return Models(
            self.pool,
            endpoint,
            self._quotes,
            Shares("model_calls", calls, calls),
            tokens_per_day,
            SystemClock(),  # type: ignore[arg-type]
        )

    def asker(self, tenant: str = "", scope: list[str] | None = None) -> Asker:
        return Asker(tenant or self.tenant, scope, "key")

    async def connect(self) -> str:
        """Make a tenant, and return its id."""
        tenant = tenant_pb2.Tenant(tenant_id=new_id(), provider="ms365", external_tenant_id="o", user_id="u")
        async with db.transaction(self.pool) as connection:
            await tenants.save(connection, tenant, "active", SystemClock().now())
        return tenant.tenant_id

    async def allow(self, *, is_enabled: bool = True, may_leave_machine: bool = True) -> None:
        settings = pb2.ModelSettings(is_enabled=is_enabled, may_leave_machine=may_leave_machine)
        await self.models.update_settings(self.asker(), settings)

    async def classify(self, text: str = PARCEL, **fields: Any) -> pb2.ClassifyByModelResponse:
        request = pb2.ClassifyByModelRequest(tenant_id=self.tenant, text=text, labels=LABELS, **fields)
        return await self.models.classify(self.asker(), request)

    async def extract(self, text: str = ORDER, schema: dict[str, Any] | None = None) -> pb2.ExtractByModelResponse:
        request = pb2.ExtractByModelRequest(tenant_id=self.tenant, text=text)
        request.schema.update(schema or SCHEMA)
        return await self.models.extract(self.asker(), request)

    async def calls(self) -> Sequence[pb2.ModelCall]:
        return await self.models.calls(self.asker(), None, 1000)

    async def tokens(self) -> int:
        return (await self.models.settings(self.asker()))[1].tokens_today

    def fail(self, *kinds: str, **more: Any) -> None:
        """Give the model's next answers these faults."""
        self.model.change({"faults": [{"kind": kind, **more} for kind in kinds]})


@asynccontextmanager
async def asking(
    pool: db.Pool, *, host: str = HOST, names: AbstractResolver | None = None, seconds: float = 20.0
) -> AsyncIterator[Ground]:
    """Open the simulated model, processes without rights, and a tenant that allows nothing yet."""
    model, listener = SimulatedModel(KEY), listen(0)
    server = make_server(Starlette(routes=model.routes), None)
    serving = asyncio.create_task(server.serve([listener]))
    url = f"http://{host}:{listener.getsockname()[1]}{PATH}"
    async with (
        Sandbox.open(LIMITS) as texts,
        EgressClient.open(EgressRules.read(own=(HOST,)), lookup=names) as client,
    ):
        ground = Ground(pool, model, url, client, Quotes(QuoteServicer(texts)), seconds)
        ground.tenant = await ground.connect()
        try:
            yield ground
        finally:
            server.should_exit = True
            await serving
