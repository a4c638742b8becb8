"""Pictures of pages are read in a process without rights, where Tesseract is installed; elsewhere a flag says so."""

import io
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pypdfium2
import pytest

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.primitives.documents.scans import MAX_SCANNED, data_folder
from services.primitives.failure import ContentError
from services.primitives.sandbox.confine import Confinement
from services.primitives.sandbox.pool import Sandbox, SandboxLimits
from services.primitives.servicers.classifying import Classifier
from services.primitives.servicers.primitives import PrimitiveServicer, Readers
from services.primitives.texts.budget import ModelBudget
from tests.unit.primitives import samples

FOLDER = data_folder(None, "eng")
pytestmark = pytest.mark.skipif(FOLDER is None, reason="needs Tesseract with data of English")
BOUNDS = Confinement(1024 * 1024 * 1024, 30.0, 65534)
SEEING = replace(BOUNDS, scan_data=str(FOLDER), scan_languages="eng")


def picture(text: str, *, dots_per_inch: int = 150) -> Any:
    """Return a page with a text as a picture."""
    document = pypdfium2.PdfDocument(samples.pdf(text))
    return document[0].render(scale=dots_per_inch / 72, grayscale=True)


def scan(*pictures: Any, width: float = 612, height: float = 792) -> bytes:
    """Return a PDF whose pages have pictures and no text."""
    document = pypdfium2.PdfDocument.new()
    for bitmap in pictures:
        page = document.new_page(width, height)
        image = pypdfium2.PdfImage.new(document)
        image.set_bitmap(bitmap)
        image.set_matrix(pypdfium2.PdfMatrix().scale(width, height))
        page.insert_obj(image)
        page.gen_content()
    made = io.BytesIO()
    document.save(made)
    return made.getvalue()


@pytest.fixture
async def scans() -> AsyncIterator[Sandbox]:
    async with Sandbox.open(SandboxLimits(1, 60, SEEING)) as opened:
        yield opened


async def seen(scans: Sandbox, content: bytes) -> pb2.ExtractDocumentResponse:
    request = pb2.ExtractDocumentRequest(content=content)
    return pb2.ExtractDocumentResponse.FromString(await scans.run("scan", request.SerializeToString(), is_alone=True))


async def extracted(scans: Sandbox | None, content: bytes, name: str = "") -> pb2.ExtractDocumentResponse:
    async with Sandbox.open(SandboxLimits(1, 60, BOUNDS)) as documents:
        readers = Readers(documents, documents, scans)
        servicer = PrimitiveServicer(readers, 2**25, Classifier(documents, ModelBudget(1)))
        request = pb2.ExtractDocumentRequest(content=content, file_name=name)
        return await servicer.ExtractDocument(request, None)  # type: ignore[arg-type]


async def test_the_process_that_reads_pictures_has_no_rights(scans: Sandbox) -> None:
    assert await scans.run("probe", b"", is_alone=True) == b""


async def test_a_scan_is_read_page_by_page_and_marked_as_recognised(scans: Sandbox) -> None:
    found = await extracted(scans, scan(picture("Invoice 118"), picture("Thirty euros")))

    assert ("pdf", ["no_text", "ocr"]) == (found.format, list(found.flags))
    assert "Invoice 118\nThirty euros\n" == found.text
    assert ["Invoice 118\n", "Thirty euros\n"] == [found.text[page.start : page.end] for page in found.pages]


async def test_without_tesseract_a_flag_says_so_and_nothing_else_changes() -> None:
    found = await extracted(None, scan(picture("Invoice 118")))
    text = await extracted(None, samples.pdf("Page one"))

    assert (["no_text", "ocr_missing"], "") == (list(found.flags), found.text)
    assert ([], "Page one\n") == (list(text.flags), text.text)


async def test_a_document_with_text_is_not_recognised(scans: Sandbox) -> None:
    assert [] == list((await extracted(scans, samples.pdf("Page one"))).flags)


async def test_hostile_pictures_are_bounded_and_the_next_scan_is_read(scans: Sandbox) -> None:
    chance = random.Random(7)
    noise = pypdfium2.PdfBitmap.new_native(2000, 2000, pypdfium2.raw.FPDFBitmap_Gray)
    noise.buffer[:] = chance.randbytes(len(noise.buffer))
    many = scan(*[picture("x", dots_per_inch=20)] * (MAX_SCANNED + 5))
    wide = scan(picture("Wide"), width=14_000, height=14_000)
    outcomes = []
    for content in (scan(noise), many, wide):
        try:
            found = await seen(scans, content)
        except ContentError as exc:
            outcomes.append(exc.cause)
        else:
            outcomes.append("ocr_cut" if "ocr_cut" in found.flags else "ocr")

    assert set(outcomes) <= {"ocr", "ocr_cut", "time", "memory"}
    assert outcomes[1] in ("ocr_cut", "time")
    assert "Invoice 118\n" == (await seen(scans, scan(picture("Invoice 118")))).text


async def test_pictures_that_take_too_long_are_a_flag_of_the_document() -> None:
    short = SandboxLimits(1, 60, replace(SEEING, cpu_seconds=0.01))
    async with Sandbox.open(short) as scans:
        found = await extracted(scans, scan(picture("Invoice 118")))

    assert (["no_text", "ocr_failed"], "") == (list(found.flags), found.text)


async def test_a_process_without_the_data_refuses_by_name() -> None:
    async with Sandbox.open(SandboxLimits(1, 60, BOUNDS)) as without:
        with pytest.raises(ContentError, match=r"^reader_missing$"):
            await seen(without, scan(picture("x")))
