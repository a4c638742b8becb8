"""The pictures of a document's pages, where Tesseract is installed."""

import asyncio

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.meshkit.errors import Overloaded
from services.primitives.documents.extracted import OCR_FAILED, OCR_MISSING
from services.primitives.errors import ContentUnreadable
from services.primitives.sandbox.pool import Sandbox
from services.primitives.servicers.reading import read_content


async def add_scan(
    answer: pb2.ExtractDocumentResponse,
    request: pb2.ExtractDocumentRequest,
    scans: Sandbox | None,
    seconds: float,
) -> None:
    """Add the text of pictures to a document without text. A flag reports that there is none, and why.

    Args:
        answer: The document, without text.
        request: The request that was answered.
        scans: The processes without rights that read pictures; None where Tesseract is not installed.
        seconds: The time that the call has left.
    """
    if scans is None:
        _flag(answer, OCR_MISSING)
        return
    try:
        async with asyncio.timeout(seconds):
            read = await read_content(scans, "scan", request.SerializeToString(), is_alone=True)
    except (ContentUnreadable, Overloaded, TimeoutError):  # counted by its outcome; the document itself was read
        _flag(answer, OCR_FAILED)
        return
    seen = pb2.ExtractDocumentResponse.FromString(read)
    answer.text, answer.is_text_cut = seen.text, seen.is_text_cut
    del answer.pages[:]
    answer.pages.extend(seen.pages)
    _flag(answer, *seen.flags)


def _flag(answer: pb2.ExtractDocumentResponse, *flags: str) -> None:
    together = sorted({*answer.flags, *flags})
    del answer.flags[:]
    answer.flags.extend(together)
