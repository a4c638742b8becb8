"""A real receiver of traces: it keeps the spans that the mesh exports by OTLP over gRPC, for tests to read."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2
from typing_extensions import override

MAX_SPANS = 300_000
THREADS = 2


@dataclass(frozen=True)
class ReceivedSpan:
    """One span.

    Args:
        service: The process that sent it.
        name: The operation.
        trace_id: Hexadecimal.
        attributes: As text.
        span: The span as received.
    """

    service: str
    name: str
    trace_id: str
    attributes: dict[str, str]
    span: trace_pb2.Span = field(repr=False)


@dataclass
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the newest spans.

    Args:
        endpoint: Its address, the value of MAILMESH_OTLP_ENDPOINT.
    """

    endpoint: str = ""
    kept: "deque[ReceivedSpan]" = field(default_factory=lambda: deque(maxlen=MAX_SPANS), repr=False)

    @override
    def Export(self, request, context):
        for resource in request.resource_spans:
            service = _attributes(resource.resource.attributes).get("service.name", "")
            for scope in resource.scope_spans:
                self.kept.extend(_received(service, span) for span in scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()

    @property
    def spans(self) -> list[ReceivedSpan]:
        """All received spans, oldest first."""
        return list(self.kept)

    def trace(self, trace_id: str) -> list[ReceivedSpan]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace_id == trace_id]


def _received(service: str, span: trace_pb2.Span) -> ReceivedSpan:
    return ReceivedSpan(service, span.name, span.trace_id.hex(), _attributes(span.attributes), span)


def _attributes(pairs: object) -> dict[str, str]:
    return {pair.key: str(getattr(pair.value, pair.value.WhichOneof("value") or "string_value")) for pair in pairs}


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Receives the traces of the session's mesh."""
    received = Collector()
    server = grpc.server(ThreadPoolExecutor(THREADS))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(received, server)
    port = server.add_insecure_port("127.0.0.1:0")
    received.endpoint = f"http://127.0.0.1:{port}"
    server.start()
    yield received
    server.stop(grace=1).wait()
