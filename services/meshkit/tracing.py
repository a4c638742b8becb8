"""Traces by OpenTelemetry: sent where an endpoint is set, carried on in any case."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

HEADER = "traceparent"
_EXPORT_SECONDS = 5
_QUEUE_SPANS = 4096
_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("services.meshkit")
_sending = Event()


def configure_tracing(service_name: str, otlp_endpoint: str) -> TracerProvider | None:
    """Start sending traces.

    Args:
        service_name: The process's mesh identity.
        otlp_endpoint: `http://host:4317`; empty sends nothing.

    Returns:
        The provider, whose `shutdown()` sends what is left; None without an endpoint.
    """
    if not otlp_endpoint:
        return None
    # Most run without, and it takes a noticeable part of a process's start.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service_name}))
    exporter = OTLPSpanExporter(
        endpoint=otlp_endpoint, insecure=otlp_endpoint.startswith("http://"), timeout=_EXPORT_SECONDS
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=_QUEUE_SPANS))
    trace.set_tracer_provider(provider)
    _sending.set()
    return provider


def is_tracing() -> bool:
    """Tell whether spans are sent anywhere."""
    # Not `get_tracer_provider()`: it looks into the environment each time, and this is asked for every call.
    return _sending.is_set()


def traceparent() -> str:
    """The current span as a W3C `traceparent`, to send along or to store; empty outside of a trace."""
    if not trace.get_current_span().get_span_context().is_valid:
        return ""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get(HEADER, "")


def trace_id() -> str:
    """The current trace's id in hexadecimal; empty outside of a trace."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""


def context_of(parent: str) -> Context:
    """Read a `traceparent`, be it from a header or from a row; nonsense is no parent."""
    return _propagator.extract({HEADER: parent} if parent else {})


@contextmanager
def span(
    name: str, *, parent: str | None = None, kind: SpanKind = SpanKind.INTERNAL, **attributes: str | float | bool
) -> Iterator[Span]:
    """Run the block as a span.

    Args:
        name: The operation, without ids.
        parent: A stored `traceparent` to go on from; None takes the current span.
        kind: The span's side of a call.
        attributes: Facts without secrets and without content.
    """
    context = None if parent is None else context_of(parent)
    # The text of an exception may hold what must not be seen; its type says enough.
    with _tracer.start_as_current_span(
        name,
        context=context,
        kind=kind,
        attributes=_attributes(attributes),
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except BaseException as exc:
            current.set_status(trace.StatusCode.ERROR, type(exc).__name__)
            raise


def _attributes(given: Mapping[str, str | int | float | bool]) -> dict[str, str | int | float | bool]:
    return {name.replace("_", "."): value for name, value in given.items()}
