"""EndpointService: callers manage endpoints here."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from typing_extensions import override

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from mailmesh.delivery.v1.endpoint_service_pb2_grpc import EndpointServiceServicer as Base
from services.delivery.endpoints import access, checks, conditions
from services.delivery.endpoints.use_cases import Endpoints, Scope
from services.delivery.sending.attempt import Attempts
from services.delivery.store.rows import AttemptRow, EndpointRow
from services.egress.addresses import EgressRules
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import PageTokens, Position, is_row_id, page_size

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
_TIMES = ("created_at", "failing_since", "succeeded_at")
_COLUMNS = ("url", "display_name", "filter", "view", "timeout", "concurrency", "rate")
_MUTABLE = (*_COLUMNS, "headers", *access.FIELDS)


class EndpointServicer(Base):
    """Answers EndpointService.

    Args:
        endpoints: The use cases.
        attempts: Makes tests.
        rules: The operator's rules for addresses.
    """

    def __init__(self, endpoints: Endpoints, attempts: Attempts, rules: EgressRules) -> None:
        self._endpoints = endpoints
        self._attempts = attempts
        self._rules = rules
        self._page_tokens = PageTokens(columns=(is_row_id,))

    @override
    async def CreateEndpoint(
        self, request: pb2.CreateEndpointRequest, context: "Context"
    ) -> pb2.CreateEndpointResponse:
        """Create an endpoint."""
        values = self._values(request, _COLUMNS)
        values |= {"signature": checks.signature(request.signature), "created_by": current_caller().key_id}
        headers, shown = checks.headers(request.headers), access.Access(**self._access(request, access.FIELDS))
        row, key = await self._endpoints.create(values, headers, request.cursor, shown)
        return pb2.CreateEndpointResponse(endpoint=await self._message(row), signing_key=key.reveal())

    @override
    async def ListEndpoints(self, request: pb2.ListEndpointsRequest, context: "Context") -> pb2.ListEndpointsResponse:
        """Return a page of endpoints."""
        size, position = page_size(request.page_size), self._page_tokens.read(request)
        before = None if position is None else str(position[0])
        rows = await self._endpoints.page(_scope(), before, request.url, size + 1)
        given = rows[:size]
        last: Position | None = [given[-1].endpoint_id] if len(rows) > size else None
        counts = await self._endpoints.counts(given)
        return pb2.ListEndpointsResponse(
            endpoints=[_shown(row, counts) for row in given],
            next_page_token=self._page_tokens.write(request, last),
        )

    @override
    async def GetEndpoint(self, request: pb2.GetEndpointRequest, context: "Context") -> pb2.GetEndpointResponse:
        """Return one endpoint."""
        row = await self._endpoints.get(_id(request), _scope())
        return pb2.GetEndpointResponse(endpoint=await self._message(row))

    @override
    async def UpdateEndpoint(
        self, request: pb2.UpdateEndpointRequest, context: "Context"
    ) -> pb2.UpdateEndpointResponse:
        """Change an endpoint."""
        names = _named(request)
        headers = checks.headers(request.headers) if "headers" in names else None
        values, shown = self._values(request, names), self._access(request, names)
        row = await self._endpoints.update(_id(request), _scope(), values, headers, shown)
        return pb2.UpdateEndpointResponse(endpoint=await self._message(row))

    @override
    async def PauseEndpoint(self, request: pb2.PauseEndpointRequest, context: "Context") -> pb2.PauseEndpointResponse:
        """Pause an endpoint."""
        row = await self._endpoints.pause(_id(request), _scope())
        return pb2.PauseEndpointResponse(endpoint=await self._message(row))

    @override
    async def ResumeEndpoint(
        self, request: pb2.ResumeEndpointRequest, context: "Context"
    ) -> pb2.ResumeEndpointResponse:
        """Resume an endpoint."""
        row = await self._endpoints.resume(_id(request), _scope(), request.cursor)
        return pb2.ResumeEndpointResponse(endpoint=await self._message(row))

    @override
    async def RotateEndpointKey(
        self, request: pb2.RotateEndpointKeyRequest, context: "Context"
    ) -> pb2.RotateEndpointKeyResponse:
        """Make a new signing key."""
        overlap = checks.overlap(request.overlap if request.HasField("overlap") else None)
        row, key = await self._endpoints.rotate_key(_id(request), _scope(), overlap)
        return pb2.RotateEndpointKeyResponse(endpoint=await self._message(row), signing_key=key.reveal())

    @override
    async def RetryAttempt(self, request: pb2.RetryAttemptRequest, context: "Context") -> pb2.RetryAttemptResponse:
        """Make the event of an attempt due now."""
        await self._endpoints.retry(_id(request), _scope(), check_id("attempt_id", request.attempt_id))
        return pb2.RetryAttemptResponse()

    @override
    async def RecoverEndpoint(
        self, request: pb2.RecoverEndpointRequest, context: "Context"
    ) -> pb2.RecoverEndpointResponse:
        """Make exhausted deliveries due again or move back to a time, or count only."""
        has_time = request.HasField("exhausted_from")
        if request.HasField("events_from"):
            if has_time:
                raise FieldInvalid.of("events_from", "must not be given together with exhausted_from")
            moment = checks.moment("events_from", request.events_from)
            found = await self._endpoints.recover_events(_id(request), _scope(), moment, is_dry=request.dry_run)
            return pb2.RecoverEndpointResponse(deliveries=found.number, has_more=found.has_more)
        since = checks.moment("exhausted_from", request.exhausted_from) if has_time else None
        count = await self._endpoints.recover(_id(request), _scope(), since, is_dry=request.dry_run)
        return pb2.RecoverEndpointResponse(deliveries=count)

    @override
    async def DeleteEndpoint(
        self, request: pb2.DeleteEndpointRequest, context: "Context"
    ) -> pb2.DeleteEndpointResponse:
        """Delete an endpoint."""
        await self._endpoints.delete(_id(request), _scope())
        return pb2.DeleteEndpointResponse()

    @override
    async def TestEndpoint(self, request: pb2.TestEndpointRequest, context: "Context") -> pb2.TestEndpointResponse:
        """Send one webhook."""
        tried = await self._attempts.test(await self._endpoints.get(_id(request), _scope()))
        return pb2.TestEndpointResponse(attempt=attempt_of(tried.row))

    @override
    async def ListAttempts(self, request: pb2.ListAttemptsRequest, context: "Context") -> pb2.ListAttemptsResponse:
        """Return a page of attempts."""
        endpoint_id = _id(request)
        event_id = check_id("event_id", request.event_id) if request.event_id else ""
        size, position = page_size(request.page_size), self._page_tokens.read(request)
        before = None if position is None else str(position[0])
        rows = await self._endpoints.attempts(endpoint_id, _scope(), event_id, before, size + 1)
        given = rows[:size]
        last: Position | None = [given[-1].attempt_id] if len(rows) > size else None
        return pb2.ListAttemptsResponse(
            attempts=map(attempt_of, given), next_page_token=self._page_tokens.write(request, last)
        )

    async def _message(self, row: EndpointRow) -> pb2.Endpoint:
        counts = await self._endpoints.counts([row])
        return _shown(row, counts)

    def _values(
        self, request: pb2.CreateEndpointRequest | pb2.UpdateEndpointRequest, names: Iterable[str]
    ) -> dict[str, Any]:
        """Return the checked values of named fields, by the table's columns."""
        ways: dict[str, Callable[[], dict[str, Any]]] = {
            "url": lambda: {"url": checks.url(request.url, self._rules)},
            "display_name": lambda: {"display_name": checks.name(request.display_name)},
            "filter": lambda: vars(checks.selection(request.filter, current_caller())),
            "view": lambda: {"view": checks.view(request.view)},
            "timeout": lambda: {
                "timeout_ms": checks.timeout_ms(request.timeout if request.HasField("timeout") else None)
            },
            "concurrency": lambda: {"concurrency": checks.concurrency(request.concurrency)},
            "rate": lambda: {"rate": checks.rate(request.rate)},
        }
        return {column: value for name in names if name in ways for column, value in ways[name]().items()}

    def _access(
        self, request: pb2.CreateEndpointRequest | pb2.UpdateEndpointRequest, names: Iterable[str]
    ) -> dict[str, Any]:
        """Return the checked parts of the access to a receiver among named fields; None removes one."""
        now = datetime.now(UTC)
        ways: dict[str, Callable[[], Any]] = {
            access.CERTIFICATE: lambda: access.certificate(request.client_certificate, now),
            access.CREDENTIALS: lambda: access.credentials(request.client_credentials, self._rules),
        }
        return {name: ways[name]() if request.HasField(name) else None for name in names if name in ways}  # type: ignore[arg-type]


def _shown(row: EndpointRow, counts: Mapping[str, tuple[int, int]]) -> pb2.Endpoint:
    """Return an endpoint as the caller may see it."""
    return message_of(row, counts.get(row.endpoint_id, (0, 0)), shows_position=current_caller().tenants is None)


def message_of(row: EndpointRow, counts: tuple[int, int], *, shows_position: bool) -> pb2.Endpoint:
    """Return an endpoint in the form of the contract, without its secrets.

    The position moves with events of all tenants, so keys that are limited to some do not see it.
    """
    waiting, exhausted = counts
    message = pb2.Endpoint(
        endpoint_id=row.endpoint_id,
        display_name=row.display_name,
        url=row.url,
        filter=pb2.EndpointFilter(
            tenant_ids=row.tenant_ids,
            providers=row.providers,
            event_types=row.event_types,
            conditions=conditions.read(row.conditions),
        ),
        view=row.view,  # type: ignore[arg-type]
        header_names=row.header_names,
        concurrency=row.concurrency,
        rate=row.rate,
        signature=row.signature,  # type: ignore[arg-type]
        public_key=row.public_key,
        state=int(row.state),  # type: ignore[arg-type]
        reason=row.reason,
        waiting=waiting,
        exhausted=exhausted,
        position=row.position if shows_position else "",
        token_url=row.token_url,
    )
    message.timeout.FromMilliseconds(row.timeout_ms)
    for name in _TIMES:
        _set(getattr(message, name), getattr(row, name))
    _set(message.client_certificate_ends_at, row.certificate_ends_at)
    return message


def attempt_of(row: AttemptRow) -> pb2.Attempt:
    """Return an attempt in the form of the contract."""
    message = pb2.Attempt(
        attempt_id=row.attempt_id,
        event_id=row.event_id,
        event_type=row.event_type,
        number=row.number,
        outcome=pb2.ATTEMPT_OUTCOME_DELIVERED if row.is_delivered else pb2.ATTEMPT_OUTCOME_FAILED,
        status=row.status,
        reason=row.reason,
        answer=row.answer.decode("utf-8", "replace"),
    )
    message.duration.FromMilliseconds(row.duration_ms)
    _set(message.started_at, row.started_at)
    _set(message.next_attempt_at, row.next_attempt_at)
    return message


def _set(field: Timestamp, moment: datetime | None) -> None:
    """Set a field to a time; without one it stays absent."""
    if moment is not None:
        field.FromDatetime(moment.astimezone(UTC))


def _named(request: pb2.UpdateEndpointRequest) -> list[str]:
    """Return the names of the fields to change."""
    named = list(request.update_mask.paths)
    if named == ["*"]:
        return list(_MUTABLE)
    if not named:
        return [field.name for field, _ in request.ListFields() if field.name in _MUTABLE]
    if unknown := set(named) - set(_MUTABLE):
        raise FieldInvalid.of("update_mask", f"must name fields of {', '.join(_MUTABLE)}; not {min(unknown)[:100]}")
    return named


def _id(request: Any) -> str:
    return check_id("endpoint_id", request.endpoint_id)


def _scope() -> Scope:
    caller = current_caller()
    return Scope(None if caller.tenants is None else sorted(caller.tenants), checks.hidden_kinds(caller))
