"""The script of the difficult mesh for each call of a case: messages as bytes, failures, silence, cuts."""

from collections.abc import Mapping
from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import event_pb2, event_service_pb2
from mailmesh.vault.v1 import tenant_pb2, tenant_service_pb2

MIB = 1024 * 1024
# Field 2000 with the text "tomorrow": no message of today has it.
UNKNOWN_FIELD = bytes([0x82, 0x7D, 8]) + b"tomorrow"
# Field 15 of a step and field 99 of an event: kinds of tomorrow, in what today's readers take for an unset oneof.
UNKNOWN_STEP = bytes([0x7A, 8]) + b"tomorrow"
UNKNOWN_KIND = bytes([0x9A, 0x06, 8]) + b"tomorrow"
UNKNOWN_STATUS = 99


@dataclass(frozen=True)
class Send:
    """Send a message."""

    data: bytes


@dataclass(frozen=True)
class Fail:
    """End the call with a failure.

    Attributes:
        code: The code of gRPC.
        reason: The reason of mailmesh; empty leaves the details out, as a proxy on the way does.
        metadata: The reason's metadata.
        retry_after_seconds: The pause to ask for; 0 asks for none.
    """

    code: grpc.StatusCode
    reason: str = ""
    metadata: Mapping[str, str] | None = None
    retry_after_seconds: int = 0

    def status(self) -> bytes:
        """Return the details as `grpc-status-details-bin` has them. One of a type of tomorrow comes first."""
        status = status_pb2.Status(code=self.code.value[0], message="it failed")
        status.details.append(any_pb2.Any(type_url="type.googleapis.com/mailmesh.tomorrow.v1.Hint", value=b"\x0a\x00"))
        info = error_details_pb2.ErrorInfo(reason=self.reason, domain="mailmesh", metadata=self.metadata or {})
        details: list[Message] = [info]
        if self.retry_after_seconds:
            delay = duration_pb2.Duration(seconds=self.retry_after_seconds)
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        for detail in details:
            status.details.add().Pack(detail)
        return status.SerializeToString()


@dataclass(frozen=True)
class Cut:
    """Reset the connection and refuse further ones for a while."""

    absence_seconds: float


@dataclass(frozen=True)
class Next:
    """Send the event behind the cursor that the client asked for: an event that a reset swallowed is sent once more."""


@dataclass(frozen=True)
class Silence:
    """Send nothing more, and leave the call open."""


Action = Send | Next | Fail | Cut | Silence
Opening = tuple[Action, ...]


def event(number: int, *, text: str = "", beyond: bytes = b"") -> Send:
    """Return the step with event `number`.

    Args:
        number: The event's number and position.
        text: The mail's text.
        beyond: Bytes of fields of tomorrow, in the event.
    """
    mail = mail_pb2.NormalizedMailEvent(
        event_id=f"event-{number}",
        event_type="mail.created",
        message=message_pb2.MailMessage(body=message_pb2.Body(text=text)),
    )
    entry = event_pb2.Event(position=str(number), mail=mail).SerializeToString() + beyond
    return Send(_field(1, entry))


def event_of_tomorrow(number: int) -> Send:
    """Return the step with an event of a kind that today's readers do not know."""
    return Send(_field(1, event_pb2.Event(position=str(number)).SerializeToString() + UNKNOWN_KIND))


def heartbeat(position: int, *, sent_at_seconds: int = 1_780_000_000) -> Send:
    """Return the step with a heartbeat, sent at a time in seconds since 1970."""
    beat = event_service_pb2.Heartbeat(position=str(position))
    beat.sent_at.FromSeconds(sent_at_seconds)
    return Send(event_service_pb2.StreamEventsResponse(heartbeat=beat).SerializeToString())


def tenant(status: int = tenant_pb2.TENANT_STATUS_ACTIVE) -> Send:
    """Return the answer with a tenant, in a status that may be one of tomorrow."""
    found = tenant_pb2.Tenant(tenant_id="tenant-1", provider="ms365")
    # An enum of proto3 is open: the number travels as it is.
    found.MergeFromString(b"" if status == 0 else _number(_STATUS_FIELD, status))
    return Send(tenant_service_pb2.GetTenantResponse(tenant=found).SerializeToString() + UNKNOWN_FIELD)


_STATUS_FIELD = tenant_pb2.Tenant.DESCRIPTOR.fields_by_name["status"].number
# The end of a closing stream.
SHUTTING_DOWN = Fail(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    """Return a number in the variable length of protobuf: seven bits a byte, the lowest first."""
    out = bytearray()
    while value >= 1 << 7:
        out.append(value % (1 << 7) + (1 << 7))
        value >>= 7
    return bytes([*out, value])
