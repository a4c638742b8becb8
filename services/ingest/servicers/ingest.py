"""IngestService: the webhooks that the providers call."""

from typing import Any, Final

import grpc
from google.api.httpbody_pb2 import HttpBody
from typing_extensions import override

from mailmesh.ingest.v1 import ingest_service_pb2 as pb2
from mailmesh.ingest.v1.ingest_service_pb2_grpc import IngestServiceServicer
from services.ingest.errors import PushTokenInvalid
from services.ingest.metrics import NOTIFICATIONS
from services.ingest.webhooks import google_channels
from services.ingest.webhooks.google import CLAIMS_HEADER, MESSAGE_ID_HEADER, is_signed_by
from services.ingest.webhooks.microsoft import is_echo_safe
from services.ingest.webhooks.packed_body import ENCODING_HEADER, unpack
from services.ingest.webhooks.receiver import Receiver
from services.meshkit.errors import FieldInvalid
from services.providers.names import GOOGLEWS

Context = grpc.aio.ServicerContext[Any, Any]

_ACCEPTED: Final = (("x-http-status", "202"),)
_NO_CONTENT: Final = (("x-http-status", "204"),)
_ECHOED: Final = (("x-content-type-options", "nosniff"),)


class IngestServicer(IngestServiceServicer):
    """Answers webhooks.

    Args:
        receiver: Commits their notifications.
        service_account: The e-mail address that Pub/Sub pushes must be signed by. Empty: every push is refused.
    """

    def __init__(self, receiver: Receiver, service_account: str) -> None:
        self._receiver = receiver
        self._service_account = service_account

    @override
    async def ReceiveGraphNotifications(
        self, request: pb2.ReceiveGraphNotificationsRequest, context: Context
    ) -> pb2.ReceiveGraphNotificationsResponse:
        return pb2.ReceiveGraphNotificationsResponse(payload=await self._graph(request, context))

    @override
    async def ReceiveGraphLifecycle(
        self, request: pb2.ReceiveGraphLifecycleRequest, context: Context
    ) -> pb2.ReceiveGraphLifecycleResponse:
        return pb2.ReceiveGraphLifecycleResponse(payload=await self._graph(request, context))

    @override
    async def ReceiveGmailPush(
        self, request: pb2.ReceiveGmailPushRequest, context: Context
    ) -> pb2.ReceiveGmailPushResponse:
        headers = _headers(context, CLAIMS_HEADER, MESSAGE_ID_HEADER)
        if not is_signed_by(headers.get(CLAIMS_HEADER, ""), self._service_account):
            NOTIFICATIONS.labels(GOOGLEWS, "unproven").inc()
            raise PushTokenInvalid
        await self._receiver.gmail(_body(request.payload, context), headers.get(MESSAGE_ID_HEADER, ""))
        await context.send_initial_metadata(_NO_CONTENT)
        return pb2.ReceiveGmailPushResponse(payload=HttpBody())

    @override
    async def ReceiveCalendarPush(
        self, request: pb2.ReceiveCalendarPushRequest, context: Context
    ) -> pb2.ReceiveCalendarPushResponse:
        await self._receiver.calendar(_headers(context, *google_channels.HEADERS))
        await context.send_initial_metadata(_NO_CONTENT)
        return pb2.ReceiveCalendarPushResponse(payload=HttpBody())

    async def _graph(
        self, request: pb2.ReceiveGraphNotificationsRequest | pb2.ReceiveGraphLifecycleRequest, context: Context
    ) -> HttpBody:
        if request.validation_token:
            return await _echo(request.validation_token, context)
        await self._receiver.graph(_body(request.payload, context), request.subscription_id)
        await context.send_initial_metadata(_ACCEPTED)
        return HttpBody()


async def _echo(validation_token: str, context: Context) -> HttpBody:
    """Answer the handshake. It happens inside our own create call, so it must not wait for anything."""
    if not is_echo_safe(validation_token):
        raise FieldInvalid.of("validation_token", "is not one of Graph's")
    await context.send_initial_metadata(_ECHOED)
    return HttpBody(content_type="text/plain; charset=utf-8", data=validation_token.encode())


def _body(payload: HttpBody, context: Context) -> bytes:
    encodings = [value for name, value in context.invocation_metadata() or () if name == ENCODING_HEADER]
    return unpack(payload.data, ",".join(str(value) for value in encodings))


def _headers(context: Context, *names: str) -> dict[str, str]:
    """Return the named headers that occur exactly once; a header that occurs twice proves nothing."""
    found: dict[str, list[str]] = {}
    for name, value in context.invocation_metadata() or ():
        if name in names and isinstance(value, str):
            found.setdefault(name, []).append(value)
    return {name: values[0] for name, values in found.items() if len(values) == 1}
