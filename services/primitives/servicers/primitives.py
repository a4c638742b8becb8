"""PrimitiveService: callers hand in mails here."""

from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from mailmesh.primitives.v1.primitive_service_pb2_grpc import PrimitiveServiceServicer as Base
from services.meshkit.errors import FieldInvalid
from services.primitives.errors import ContentUnreadable, DocumentFormatUnknown, ReaderNotInstalled
from services.primitives.failure import CAUSES, ContentError
from services.primitives.metrics import CONTENT_SECONDS, CONTENTS
from services.primitives.sandbox.pool import Sandbox

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
_MAX_NAME = 1000
_REFUSALS = {"format_unknown": DocumentFormatUnknown, "reader_missing": ReaderNotInstalled}


class PrimitiveServicer(Base):
    """Answers PrimitiveService.

    Args:
        mails: The processes that parse mails.
        documents: The processes that read documents.
        content_bytes: The largest content.
    """

    def __init__(self, mails: Sandbox, documents: Sandbox, content_bytes: int) -> None:
        self._mails, self._documents, self._content_bytes = mails, documents, content_bytes

    @override
    async def ParseMail(self, request: pb2.ParseMailRequest, context: "Context") -> pb2.ParseMailResponse:
        """Parse a mail."""
        self._check(request.content)
        return pb2.ParseMailResponse.FromString(await _read(self._mails, "mail", request.content))

    @override
    async def ExtractDocument(
        self, request: pb2.ExtractDocumentRequest, context: "Context"
    ) -> pb2.ExtractDocumentResponse:
        """Read a document."""
        self._check(request.content)
        for name in ("file_name", "content_type"):
            if len(getattr(request, name)) > _MAX_NAME:
                raise FieldInvalid.of(name, f"has more than {_MAX_NAME} characters")
        answer = await _read(self._documents, "document", request.SerializeToString(), is_alone=True)
        return pb2.ExtractDocumentResponse.FromString(answer)

    def _check(self, content: bytes) -> None:
        if not content:
            raise FieldInvalid.of("content", "is empty")
        if len(content) > self._content_bytes:
            raise FieldInvalid.of("content", f"has more than {self._content_bytes} bytes")


async def _read(sandbox: Sandbox, operation: str, content: bytes, *, is_alone: bool = False) -> bytes:
    """Read content in a process without rights; count the outcome."""
    outcome = "cancelled"
    with CONTENT_SECONDS.labels(operation).time():
        try:
            answer = await sandbox.run(operation, content, is_alone=is_alone)
            outcome = "read"
        except ContentError as exc:
            outcome = exc.cause if exc.cause in CAUSES else "malformed"
            if outcome in _REFUSALS:
                raise _REFUSALS[outcome] from exc
            raise ContentUnreadable(metadata={"cause": outcome}) from exc
        finally:
            CONTENTS.labels(operation, outcome).inc()
    return answer
