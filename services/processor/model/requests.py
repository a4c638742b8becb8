"""The use cases of callers: choose the tenants that may use the model, ask it, and list what was sent to it."""

from collections.abc import Sequence
from hashlib import sha256
from typing import TypeVar

from google.protobuf.message import Message

from mailmesh.primitives.v1 import primitive_service_pb2 as primitives_pb2
from mailmesh.primitives.v1 import quote_service_pb2 as quotes_pb2
from mailmesh.primitives.v1.quote_service_pb2_grpc import QuoteServiceAsyncStub
from mailmesh.processor.v1 import model_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.cache import BoundedCache
from services.meshkit.clock import Clock
from services.meshkit.erasing import marked
from services.meshkit.shares import Shares
from services.processor.errors import PrimitivesNotAvailable, TenantNotFound
from services.processor.model.asking import Asker, Asking, Question, check_tenant
from services.processor.model.endpoint import ModelEndpoint
from services.processor.model.errors import ModelNotConfigured
from services.processor.model.prompts import (
    MAX_READ,
    PROMPT_VERSION,
    classify_prompt,
    extract_prompt,
    read_label,
    read_quotes,
)
from services.processor.model.store import calls
from services.processor.model.store import settings as store

_Answer = TypeVar("_Answer", pb2.ClassifyByModelResponse, pb2.ExtractByModelResponse)
_SCHEMA = "processor"
_CACHED, _CACHED_SECONDS, _CACHED_BYTES = 1024, 600.0, 16_384
_CHECK_SECONDS = 25.0
CLASSIFY, EXTRACT = "classify", "extract"


class Models:
    """The named model for callers.

    Args:
        pool: Connections to PostgreSQL.
        endpoint: Asks the model; None when the operator names none.
        quotes: Looks quotes up in a text; None without the address of Primitives.
        shares: The calls that run at the same time, by API key.
        tokens_per_day: The tokens of each tenant on a day.
        clock: The time.
    """

    def __init__(
        self,
        pool: db.Pool,
        endpoint: ModelEndpoint | None,
        quotes: QuoteServiceAsyncStub | None,
        shares: Shares,
        tokens_per_day: int,
        clock: Clock,
    ) -> None:
        self._pool, self._quotes, self._shares = pool, quotes, shares
        self._asking = None if endpoint is None else Asking(pool, endpoint, tokens_per_day, clock)
        self._tokens_per_day, self._clock = tokens_per_day, clock
        # Of one tenant each: its id is part of the key.
        self._answers: BoundedCache[tuple[str, bytes], Message] = BoundedCache(_CACHED, _CACHED_SECONDS)

    async def settings(self, asker: Asker) -> tuple[pb2.ModelSettings, pb2.ModelState]:
        """Return a tenant's settings, and its use of the model. Raises `TenantNotFound`."""
        async with db.connection(self._pool) as connection:
            await check_tenant(connection, asker)
            found = await store.read(connection, asker.tenant_id, self._clock.now().date())
        state = pb2.ModelState(tokens_today=found.tokens, tokens_per_day=self._tokens_per_day)
        if self._asking is not None:
            address = self._asking.endpoint.address
            state.model, state.is_outside = address.model, address.is_outside
        return pb2.ModelSettings(is_enabled=found.is_enabled, may_leave_machine=found.may_leave_machine), state

    async def update_settings(
        self, asker: Asker, settings: pb2.ModelSettings
    ) -> tuple[pb2.ModelSettings, pb2.ModelState]:
        """Store a tenant's settings. Safe to call again.

        Raises:
            TenantNotFound: There is no such tenant in scope.
            ModelNotConfigured: There is no model to enable.
        """
        async with db.transaction(self._pool) as connection:
            await check_tenant(connection, asker)
            if asker.tenant_id in await marked(connection, _SCHEMA, [asker.tenant_id]):
                raise TenantNotFound.of(asker.tenant_id)
            if settings.is_enabled:
                self._configured()
            await store.save(
                connection,
                asker.tenant_id,
                self._clock.now().date(),
                is_enabled=settings.is_enabled,
                may_leave_machine=settings.may_leave_machine,
            )
        return await self.settings(asker)

    async def classify(self, asker: Asker, request: pb2.ClassifyByModelRequest) -> pb2.ClassifyByModelResponse:
        """Let the model choose a label. Raises MeshError, see `ModelService.ClassifyByModel`."""
        asking, digest = self._configured(), self._digest(CLASSIFY, request)
        with self._shares.take(asker.key_id):
            await asking.admit(asker)
            if (kept := self._kept(asker, digest, pb2.ClassifyByModelResponse)) is not None:
                return kept
            prompt = classify_prompt(request.subject, request.text, request.labels)
            label, tokens = await asking.ask(
                Question(asker, CLASSIFY, digest, prompt), lambda answer: read_label(answer, request.labels), str
            )
        return self._keep(
            asker,
            digest,
            pb2.ClassifyByModelResponse(
                label=label,
                method=f"model/{asking.endpoint.address.model}",
                is_text_cut=len(request.text) > MAX_READ,
                tokens=tokens,
            ),
        )

    async def extract(self, asker: Asker, request: pb2.ExtractByModelRequest) -> pb2.ExtractByModelResponse:
        """Let the model quote values, and look the quotes up. Raises MeshError, see `ModelService.ExtractByModel`."""
        asking, digest = self._configured(), self._digest(EXTRACT, request)
        if self._quotes is None:
            raise PrimitivesNotAvailable(subject="primitives")
        asked = primitives_pb2.ExtractFieldsRequest(text=request.text, schema=request.schema)
        with self._shares.take(asker.key_id):
            await asking.admit(asker)
            if (kept := self._kept(asker, digest, pb2.ExtractByModelResponse)) is not None:
                return kept
            checked = quotes_pb2.CheckQuotesRequest(request=asked)
            await self._quotes.CheckQuotes(checked, timeout=_CHECK_SECONDS)  # the schema, before it costs tokens
            quotes, tokens = await asking.ask(
                Question(asker, EXTRACT, digest, extract_prompt(asked)), read_quotes, lambda _quotes: ""
            )
            checked.quotes.extend(quotes)
            found = await self._quotes.CheckQuotes(checked, timeout=_CHECK_SECONDS)
        return self._keep(
            asker,
            digest,
            pb2.ExtractByModelResponse(answer=found.answer, refused=found.refused, tokens=tokens),
        )

    async def calls(self, asker: Asker, before: str | None, limit: int) -> Sequence[pb2.ModelCall]:
        """Return calls of a tenant, newest first. Raises `TenantNotFound`."""
        async with db.connection(self._pool) as connection:
            await check_tenant(connection, asker)
            return await calls.page(connection, asker.tenant_id, before, limit)

    def _configured(self) -> Asking:
        if self._asking is None:
            raise ModelNotConfigured(subject="model")
        return self._asking

    def _digest(self, operation: str, request: Message) -> bytes:
        """Return the digest of a request at this model, with these instructions."""
        model = "" if self._asking is None else self._asking.endpoint.address.model
        made = sha256()
        for part in (operation, PROMPT_VERSION, model):
            made.update(len(part).to_bytes(4, "big") + part.encode())
        made.update(request.SerializeToString(deterministic=True))
        return made.digest()

    def _kept(self, asker: Asker, digest: bytes, kind: type[_Answer]) -> _Answer | None:
        """Return the answer of the cache, which costs no tokens."""
        kept = self._answers.get((asker.tenant_id, digest))
        if kept is None:
            return None
        answer = kind()
        answer.MergeFrom(kept)  # type: ignore[arg-type] # the operation is part of the digest
        answer.tokens = 0
        return answer

    def _keep(self, asker: Asker, digest: bytes, answer: _Answer) -> _Answer:
        if answer.ByteSize() <= _CACHED_BYTES:
            self._answers.put((asker.tenant_id, digest), answer)
        return answer
