"""SendService: callers send mail here."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.processor.v1 import send_service_pb2 as pb2
from mailmesh.processor.v1.send_service_pb2_grpc import SendServiceServicer as Base
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import PageTokens, Position, is_row_id, page_size
from services.processor.errors import TenantNotFound
from services.processor.messages.reading.reads import Reads
from services.processor.outbox.requests import Sends
from services.processor.outbox.rows import ReportRow, SendRow
from services.processor.outbox.uploads import Uploads
from services.processor.servicers.places import is_place, mailbox_of, scope_within
from services.processor.stream.filter import scope_of
from services.providers.abilities import CONVERSATION_WRITE, MAIL_READ

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
_TIMES = ("created_at", "send_at", "finished_at")


class SendServicer(Base):
    """Answers SendService.

    Args:
        sends: The use cases of sends.
        uploads: The use cases of files.
        reads: Reads at the providers.
    """

    def __init__(self, sends: Sends, uploads: Uploads, reads: Reads) -> None:
        self._sends = sends
        self._uploads = uploads
        self._reads = reads
        self._places = PageTokens(columns=(is_place,))
        self._page_tokens = PageTokens(columns=(is_row_id,))

    @override
    async def Send(self, request: pb2.SendRequest, context: "Context") -> pb2.SendResponse:
        """Commit a send."""
        request.tenant_id = check_id("tenant_id", request.tenant_id)
        caller = current_caller()
        shows_mail = request.HasField("forward") or any(one.HasField("received") for one in request.attachments)
        if shows_mail:  # to whom the caller chooses
            caller.require_ability(MAIL_READ)
        if request.reply.conversation_id:
            caller.require_ability(CONVERSATION_WRITE)
        row, was_known = await self._sends.accept(
            request, is_in_scope=caller.may_see(request.tenant_id), key_id=caller.key_id or None
        )
        return pb2.SendResponse(send=message_of(row), was_known=was_known)

    @override
    async def UploadAttachment(
        self, request: pb2.UploadAttachmentRequest, context: "Context"
    ) -> pb2.UploadAttachmentResponse:
        """Take a part of a file."""
        request.tenant_id = check_id("tenant_id", request.tenant_id)
        if request.upload_id:
            request.upload_id = check_id("upload_id", request.upload_id)
        if not current_caller().may_see(request.tenant_id):
            raise TenantNotFound.of(request.tenant_id)
        row = await self._uploads.take(request, current_caller().key_id or None)
        upload = pb2.Upload(**{name: value for name, value in vars(row).items() if name != "expires_at"})
        upload.expires_at.FromDatetime(row.expires_at)
        return pb2.UploadAttachmentResponse(upload=upload)

    @override
    async def ListIdentities(
        self, request: pb2.ListIdentitiesRequest, context: "Context"
    ) -> pb2.ListIdentitiesResponse:
        """List the addresses from which an account may send."""
        size, position = page_size(request.page_size), self._places.read(request)
        found = await self._reads.identities(mailbox_of(request.tenant_id))
        begin = int(position[0]) if position else 0
        end = begin + size
        token = self._places.write(request, [end] if end < len(found) else None)
        identities = [pb2.Identity(**vars(one)) for one in found[begin:end]]
        return pb2.ListIdentitiesResponse(identities=identities, next_page_token=token)

    @override
    async def GetSend(self, request: pb2.GetSendRequest, context: "Context") -> pb2.GetSendResponse:
        """Return one send."""
        row = await self._sends.get(check_id("send_id", request.send_id), scope_of(current_caller()))
        message = message_of(row)
        message.reports.extend(map(_report, await self._sends.reports(row.send_id)))
        return pb2.GetSendResponse(send=message)

    @override
    async def ListSends(self, request: pb2.ListSendsRequest, context: "Context") -> pb2.ListSendsResponse:
        """Return a page of sends."""
        states = sorted(set(request.states))
        if not set(states) <= set(pb2.SendState.values()):
            raise FieldInvalid.of("states", "must be states of sends")
        size, position = page_size(request.page_size), self._page_tokens.read(request)
        before = None if position is None else str(position[0])
        rows, has_more = await self._sends.page(scope_within(request.tenant_id), states, before, size)
        last: Position | None = [rows[-1].send_id] if has_more else None
        return pb2.ListSendsResponse(
            sends=map(message_of, rows), next_page_token=self._page_tokens.write(request, last)
        )

    @override
    async def CancelSend(self, request: pb2.CancelSendRequest, context: "Context") -> pb2.CancelSendResponse:
        """Cancel a send."""
        row = await self._sends.cancel(check_id("send_id", request.send_id), scope_of(current_caller()))
        return pb2.CancelSendResponse(send=message_of(row))

    @override
    async def ResolveSend(self, request: pb2.ResolveSendRequest, context: "Context") -> pb2.ResolveSendResponse:
        """Decide about an uncertain send."""
        if request.resolution not in (pb2.SEND_RESOLUTION_SENT, pb2.SEND_RESOLUTION_SEND_AGAIN):
            raise FieldInvalid.of("resolution", "must be SEND_RESOLUTION_SENT or SEND_RESOLUTION_SEND_AGAIN")
        send_id = check_id("send_id", request.send_id)
        row = await self._sends.resolve(send_id, request.resolution, scope_of(current_caller()))
        return pb2.ResolveSendResponse(send=message_of(row))


def message_of(row: SendRow) -> pb2.Send:
    """Return a send in the form of the contract."""
    mail = row.mail
    message = pb2.Send(
        send_id=row.send_id,
        tenant_id=row.tenant_id,
        provider=row.provider,
        idempotency_key=row.idempotency_key,
        state=int(row.state),  # type: ignore[arg-type]
        reason=row.reason,
        detail=row.detail,
        to=mail.to,
        cc=mail.cc,
        bcc=mail.bcc,
        subject=mail.subject,
        attempts=row.attempts,
        message_id=row.message_id,
        internet_message_id=row.internet_message_id,
        provider_thread_id=row.provider_thread_id,
        is_resolved=row.is_resolved,
        is_draft_only=row.content.is_draft_only,
        draft_id=row.draft_id,
        answered_message_id=row.original_id,
    )
    for name in _TIMES:
        moment: datetime | None = getattr(row, name)
        if moment is not None:
            getattr(message, name).FromDatetime(moment)
    return message


def _report(row: ReportRow) -> pb2.SendReport:
    message = pb2.SendReport(
        recipient=row.recipient,
        is_complaint=row.is_complaint,
        bounce=row.bounce,  # type: ignore[arg-type]
        status=row.status,
        diagnostic=row.diagnostic,
        report_message_id=row.report_message_id,
    )
    message.reported_at.FromDatetime(row.reported_at)
    return message
