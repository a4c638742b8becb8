"""PrimitiveService: callers hand in mails, documents and texts here."""

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from typing_extensions import override

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from mailmesh.primitives.v1.primitive_service_pb2_grpc import PrimitiveServiceServicer as Base
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.primitives.errors import ContentUnreadable, DocumentFormatUnknown, ModelNotInstalled, ReaderNotInstalled
from services.primitives.failure import CAUSES, ContentError
from services.primitives.metrics import CONTENT_SECONDS, CONTENTS
from services.primitives.sandbox.pool import Sandbox
from services.primitives.servicers.field_checks import check_extract
from services.primitives.servicers.label_checks import check_classify, is_closed
from services.primitives.texts.budget import ModelBudget
from services.primitives.texts.classify import UNKNOWN
from services.primitives.texts.fields import is_verified

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
_MAX_NAME = 1000
_REFUSALS = {
    "format_unknown": DocumentFormatUnknown,
    "model_missing": ModelNotInstalled,
    "reader_missing": ReaderNotInstalled,
}
logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Readers:
    """The processes without rights.

    Args:
        mails: Those that parse mails.
        documents: Those that read documents.
        texts: Those that classify texts.
    """

    mails: Sandbox
    documents: Sandbox
    texts: Sandbox


class PrimitiveServicer(Base):
    """Answers PrimitiveService.

    Args:
        readers: The processes without rights.
        content_bytes: The largest content.
        budget: The share of the model that each key has.
    """

    def __init__(self, readers: Readers, content_bytes: int, budget: ModelBudget) -> None:
        self._readers, self._content_bytes, self._budget = readers, content_bytes, budget

    @override
    async def ParseMail(self, request: pb2.ParseMailRequest, context: "Context") -> pb2.ParseMailResponse:
        """Parse a mail."""
        self._check(request.content)
        return pb2.ParseMailResponse.FromString(await _read(self._readers.mails, "mail", request.content))

    @override
    async def ExtractDocument(
        self, request: pb2.ExtractDocumentRequest, context: "Context"
    ) -> pb2.ExtractDocumentResponse:
        """Read a document."""
        self._check(request.content)
        for name in ("file_name", "content_type"):
            if len(getattr(request, name)) > _MAX_NAME:
                raise FieldInvalid.of(name, f"has more than {_MAX_NAME} characters")
        answer = await _read(self._readers.documents, "document", request.SerializeToString(), is_alone=True)
        return pb2.ExtractDocumentResponse.FromString(answer)

    @override
    async def ClassifyMessage(
        self, request: pb2.ClassifyMessageRequest, context: "Context"
    ) -> pb2.ClassifyMessageResponse:
        """Classify a mail's text."""
        cost, key_id = check_classify(request), current_caller().key_id
        self._budget.spend(key_id, cost)
        content = request.SerializeToString(deterministic=True)
        answer = pb2.ClassifyMessageResponse.FromString(await _read(self._readers.texts, "classify", content))
        if not is_closed(request, answer):
            raise ContentUnreadable(metadata={"cause": "crashed"})
        logger.info(
            "message classified",
            key_id=key_id,
            model=answer.method,
            digest=sha256(content).hexdigest(),
            is_known=answer.label != UNKNOWN,
            margin=round(answer.margin, 4),
            characters=cost,
        )
        return answer

    @override
    async def ExtractFields(self, request: pb2.ExtractFieldsRequest, context: "Context") -> pb2.ExtractFieldsResponse:
        """Extract the values of a schema from a text."""
        fields = check_extract(request)
        content = request.SerializeToString()
        answer = pb2.ExtractFieldsResponse.FromString(await _read(self._readers.mails, "fields", content))
        if not is_verified(request, answer, fields):
            raise ContentUnreadable(metadata={"cause": "crashed"})
        for value in (value for field in answer.fields for value in field.values):
            value.source = request.text[value.start : value.end]
        return answer

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
