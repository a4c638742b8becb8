"""The errors that Envoy makes itself, in the shape of every other error: `google.rpc.Status` as JSON."""

import base64
import json
from dataclasses import dataclass

from google.rpc import code_pb2, error_details_pb2, status_pb2

DOMAIN = "mailmesh"
PROTOCOL_HEADER = "x-mailmesh-edge-protocol"
"""A header of answers to webhooks: the protocol in which the request reached the edge, such as HTTP/1.1."""
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
_RETRY_SECONDS = 1


@dataclass(frozen=True)
class LocalReply:
    """Envoy's own answer for one HTTP status.

    Attributes:
        status: The HTTP status.
        code: The gRPC code of the body.
        reason: A name of the catalogue.
        message: A sentence for people.
        grpc_code: The gRPC code for callers by gRPC, where gRPC itself demands another one.
        retry_seconds: The delay of a retry, as `RetryInfo`; 0 for an answer that names none.
    """

    status: int
    code: int
    reason: str
    message: str
    grpc_code: int | None = None
    retry_seconds: int = 0

    @property
    def body_format(self) -> dict[str, object]:
        """Envoy's formatter of the body. It is fixed text: it repeats nothing that the peer sent."""
        text = self.text.replace("%", "%%")
        return {"text_format_source": {"inline_string": text}, "content_type": "application/json"}

    @property
    def text(self) -> str:
        """The body for REST: `google.rpc.Status` as JSON."""
        info = {"@type": ERROR_INFO, "reason": self.reason, "domain": DOMAIN, "metadata": {}}
        retry = {"@type": RETRY_INFO, "retryDelay": f"{self.retry_seconds}s"}
        details = [info, retry] if self.retry_seconds else [info]
        return json.dumps({"code": self.code, "message": self.message, "details": details})

    @property
    def grpc_headers(self) -> dict[str, str]:
        """The headers that tell a gRPC caller the code, the message (ASCII without `%`) and the details."""
        code = self.code if self.grpc_code is None else self.grpc_code
        status = status_pb2.Status(code=code, message=self.message)
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN))
        if self.retry_seconds:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromSeconds(self.retry_seconds)
            status.details.add().Pack(retry)
        packed = base64.b64encode(status.SerializeToString()).rstrip(b"=").decode()
        return {"grpc-status": str(code), "grpc-message": self.message, "grpc-status-details-bin": packed}


PUSH_REFUSED = LocalReply(401, code_pb2.UNAUTHENTICATED, "PUSH_TOKEN_INVALID", "The push has no token that verifies.")
HEADERS_TOO_LARGE = LocalReply(
    431, code_pb2.INVALID_ARGUMENT, "FIELD_INVALID", "The header fields are too large or too many."
)
NOT_ONE_MESSAGE = LocalReply(
    400, code_pb2.INVALID_ARGUMENT, "FIELD_INVALID", "The body is not one message in the framing of gRPC."
)
LOCAL_REPLIES = (
    LocalReply(
        400,
        code_pb2.INVALID_ARGUMENT,
        "FIELD_INVALID",
        "The request is not one that the API takes: see its body, query and path.",
    ),
    LocalReply(
        404,
        code_pb2.NOT_FOUND,
        "ROUTE_NOT_FOUND",
        "There is nothing at this path. See the OpenAPI document.",
        grpc_code=code_pb2.UNIMPLEMENTED,
    ),
    LocalReply(405, code_pb2.UNIMPLEMENTED, "ROUTE_NOT_FOUND", "This path does not take this method."),
    LocalReply(408, code_pb2.DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT", "The request did not arrive in time."),
    LocalReply(413, code_pb2.RESOURCE_EXHAUSTED, "BODY_TOO_LARGE", "The body is larger than this path takes."),
    LocalReply(
        415, code_pb2.INVALID_ARGUMENT, "FIELD_INVALID", "The body's media type is not one that this path takes."
    ),
    LocalReply(429, code_pb2.RESOURCE_EXHAUSTED, "RATE_LIMITED", "Too many requests. Slow down and try again."),
    HEADERS_TOO_LARGE,
    LocalReply(500, code_pb2.INTERNAL, "UNEXPECTED", "The edge failed. The header x-request-id finds it in the logs."),
    LocalReply(
        502,
        code_pb2.UNAVAILABLE,
        "SERVICE_UNAVAILABLE",
        "A service behind the edge did not answer. Try again.",
        retry_seconds=_RETRY_SECONDS,
    ),
    LocalReply(
        503,
        code_pb2.UNAVAILABLE,
        "SERVICE_UNAVAILABLE",
        "The service cannot take this now. Try again.",
        retry_seconds=_RETRY_SECONDS,
    ),
    LocalReply(504, code_pb2.DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT", "The service did not answer in time. Try again."),
)
