"""MessageService: callers act on mail here."""

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
from google.api.httpbody_pb2 import HttpBody
from typing_extensions import override

from mailmesh.processor.v1 import message_service_pb2 as pb2
from mailmesh.processor.v1.event_pb2 import EVENT_VIEW_BASIC
from mailmesh.processor.v1.message_service_pb2_grpc import MessageServiceServicer as Base
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import PageTokens, page_size
from services.message.reply_text import set_reply_text
from services.processor.errors import TenantNotFound
from services.processor.messages.content import ATTACHMENT_CHARACTERS, ID_CHARACTERS, check_text
from services.processor.messages.processed import ProcessedMails
from services.processor.messages.reading.download import Download
from services.processor.messages.reading.names import disposition
from services.processor.messages.reading.query import check_query
from services.processor.messages.reading.reads import Place, Reads
from services.processor.messages.requests import Modifications
from services.processor.messages.rows import ModificationRow
from services.processor.servicers.places import is_place, mailbox_of
from services.processor.stream.errors import EventNotFound, ReaderTooSlow
from services.processor.stream.filter import is_hidden, scope_of
from services.processor.stream.pages import EventReader

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
_RESULTS_MAX = 200
_TOKEN_CHARACTERS = 2000


class MessageServicer(Base):
    """Answers MessageService.

    Args:
        modifications: The use cases of modifications.
        reads: The use cases of reads.
        write_seconds: The longest time that a caller may take to accept one piece of a download.
        processed: The use cases of processed mails.
        events: The reader of events.
    """

    def __init__(
        self,
        modifications: Modifications,
        reads: Reads,
        write_seconds: float,
        processed: ProcessedMails,
        events: EventReader,
    ) -> None:
        self._modifications = modifications
        self._processed = processed
        self._events = events
        self._reads = reads
        self._write_seconds = write_seconds
        self._page_tokens = PageTokens(columns=(_is_token,))
        self._places = PageTokens(columns=(is_place,))

    @override
    async def ModifyMessages(
        self, request: pb2.ModifyMessagesRequest, context: "Context"
    ) -> pb2.ModifyMessagesResponse:
        """Commit a modification."""
        request.tenant_id = check_id("tenant_id", request.tenant_id)
        caller = current_caller()
        row, was_known = await self._modifications.accept(
            request, is_in_scope=caller.may_see(request.tenant_id), key_id=caller.key_id or None
        )
        return pb2.ModifyMessagesResponse(modification=message_of(row), was_known=was_known)

    @override
    async def GetModification(
        self, request: pb2.GetModificationRequest, context: "Context"
    ) -> pb2.GetModificationResponse:
        """Return one modification."""
        modification_id = check_id("modification_id", request.modification_id)
        row = await self._modifications.get(modification_id, scope_of(current_caller()))
        return pb2.GetModificationResponse(modification=message_of(row))

    @override
    async def SetProcessedMark(
        self, request: pb2.SetProcessedMarkRequest, context: "Context"
    ) -> pb2.SetProcessedMarkResponse:
        """Set a tenant's mark of processed mails."""
        place = _seen(request.tenant_id)

        async def resolve(mark: pb2.ProcessedMark) -> pb2.MessageChange:
            return await self._reads.change_of(place, mark)

        change = await self._processed.set_mark(place.tenant_id, request.mark, resolve)
        return pb2.SetProcessedMarkResponse(mark=request.mark, change=change)

    @override
    async def GetProcessedMark(
        self, request: pb2.GetProcessedMarkRequest, context: "Context"
    ) -> pb2.GetProcessedMarkResponse:
        """Return a tenant's mark of processed mails."""
        mark, change = await self._processed.mark_of(_seen(request.tenant_id).tenant_id)
        return pb2.GetProcessedMarkResponse(mark=mark, change=change)

    @override
    async def MarkProcessed(self, request: pb2.MarkProcessedRequest, context: "Context") -> pb2.MarkProcessedResponse:
        """Mark the mail of an event."""
        event_id = check_id("event_id", request.event_id)
        caller = current_caller()
        event = await self._events.event(event_id, scope_of(caller), EVENT_VIEW_BASIC)
        if is_hidden(event, caller):
            raise EventNotFound(resource=event_id)
        if event.WhichOneof("kind") != "mail":
            raise FieldInvalid.of("event_id", "must be the id of an event about a mail")
        mail = event.mail
        row, was_known = await self._processed.apply(event_id, mail.tenant_id, mail.message_id, caller.key_id or None)
        return pb2.MarkProcessedResponse(modification=message_of(row), was_known=was_known)

    @override
    async def GetMessage(self, request: pb2.GetMessageRequest, context: "Context") -> pb2.GetMessageResponse:
        """Fetch one mail."""
        provider, mail = await self._reads.message(_place(request))
        set_reply_text(mail.message.body)
        raw = mail.raw if request.include_raw else None
        return pb2.GetMessageResponse(provider=provider, version=mail.version, message=mail.message, raw=raw)

    @override
    async def GetRawMessage(self, request: pb2.GetRawMessageRequest, context: "Context") -> None:  # type: ignore[override]
        """Stream one mail in MIME."""
        async with self._reads.raw(_place(request), _offset(request.offset)) as download:
            await send(download, context, self._write_seconds)

    @override
    async def GetAttachment(self, request: pb2.GetAttachmentRequest, context: "Context") -> None:  # type: ignore[override]
        """Stream the content of one attachment."""
        place, offset = _place(request), _offset(request.offset)
        check_text("attachment_id", request.attachment_id, ATTACHMENT_CHARACTERS)
        async with self._reads.attachment(place, request.attachment_id, offset) as download:
            await send(download, context, self._write_seconds)

    @override
    async def ListFolders(self, request: pb2.ListFoldersRequest, context: "Context") -> pb2.ListFoldersResponse:
        """List the folders of a Microsoft mailbox."""
        place, size, begin = mailbox_of(request.tenant_id), page_size(request.page_size), self._begin(request)
        folders, is_cut = await self._reads.folders(place)
        token = self._after(request, begin + size, len(folders))
        return pb2.ListFoldersResponse(folders=folders[begin : begin + size], next_page_token=token, is_cut=is_cut)

    @override
    async def ListLabels(self, request: pb2.ListLabelsRequest, context: "Context") -> pb2.ListLabelsResponse:
        """List the labels of a Google mailbox."""
        place, size, begin = mailbox_of(request.tenant_id), page_size(request.page_size), self._begin(request)
        labels = await self._reads.labels(place)
        token = self._after(request, begin + size, len(labels))
        return pb2.ListLabelsResponse(labels=labels[begin : begin + size], next_page_token=token)

    @override
    async def SearchMessages(
        self, request: pb2.SearchMessagesRequest, context: "Context"
    ) -> pb2.SearchMessagesResponse:
        """Search a mailbox."""
        place, size = mailbox_of(request.tenant_id), min(page_size(request.page_size), _RESULTS_MAX)
        check_query(request.query)
        position = self._page_tokens.read(request)
        page = await self._reads.search(place, request.query, size, str(position[0]) if position else "")
        token = self._page_tokens.write(request, [page.token] if page.token else None)
        return pb2.SearchMessagesResponse(messages=page.messages, next_page_token=token)

    def _begin(self, request: pb2.ListFoldersRequest | pb2.ListLabelsRequest) -> int:
        position = self._places.read(request)
        return int(position[0]) if position else 0

    def _after(self, request: pb2.ListFoldersRequest | pb2.ListLabelsRequest, end: int, count: int) -> str:
        return self._places.write(request, [end] if end < count else None)


async def send(download: Download, context: "Context", write_seconds: float) -> None:
    """Send content; the headers go out with the first bytes, so that a failure before them has its status.

    Args:
        download: The content.
        context: The call.
        write_seconds: The longest time that the caller may take to accept one piece: the mailbox's others wait.

    Raises:
        ReaderTooSlow: The caller took longer.
    """
    pieces = aiter(download.pieces)
    first = await anext(pieces, b"")
    headers = [("content-disposition", disposition(download.name))]
    if download.size is not None:
        headers.append(("x-content-size", str(download.size)))
    await context.send_initial_metadata(tuple(headers))
    await _write(context, HttpBody(content_type=download.media_type, data=first), write_seconds)
    async for piece in pieces:
        await _write(context, HttpBody(content_type=download.media_type, data=piece), write_seconds)


async def _write(context: "Context", body: HttpBody, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await context.write(body)
    except TimeoutError as exc:
        raise ReaderTooSlow from exc


def _seen(tenant_id: str) -> Place:
    """Return the mailbox of a tenant that the caller may see.

    Raises:
        FieldInvalid: The id is malformed.
        TenantNotFound: The caller may not see it.
    """
    place = mailbox_of(tenant_id)
    if not place.is_in_scope:
        raise TenantNotFound.of(place.tenant_id)
    return place


def _place(request: pb2.GetMessageRequest | pb2.GetRawMessageRequest | pb2.GetAttachmentRequest) -> Place:
    tenant_id = check_id("tenant_id", request.tenant_id)
    check_text("message_id", request.message_id, ID_CHARACTERS)
    caller = current_caller()
    return Place(tenant_id, request.message_id, caller.may_see(tenant_id), caller.key_id)


def _is_token(value: str | int) -> bool:
    return isinstance(value, str) and len(value) <= _TOKEN_CHARACTERS and value.isascii() and value.isprintable()


def _offset(offset: int) -> int:
    if offset < 0:
        raise FieldInvalid.of("offset", "must not be negative")
    return offset


def message_of(row: ModificationRow) -> pb2.Modification:
    """Return a modification in the form of the contract."""
    pairs = zip(row.content.message_ids, row.outcomes, strict=True)
    message = pb2.Modification(
        modification_id=row.modification_id,
        tenant_id=row.tenant_id,
        provider=row.provider,
        idempotency_key=row.idempotency_key,
        state=int(row.state),  # type: ignore[arg-type]
        reason=row.reason,
        detail=row.detail,
        change=row.content.change,
        messages=[pb2.ModifiedMessage(message_id=one, outcome=outcome) for one, outcome in pairs],  # type: ignore[arg-type]
        attempts=row.attempts,
    )
    message.created_at.FromDatetime(row.created_at)
    if row.finished_at is not None:
        message.finished_at.FromDatetime(row.finished_at)
    return message
