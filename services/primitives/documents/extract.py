"""A document, and the documents in it, to text."""

from collections.abc import Callable, Mapping, Sequence

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.message.fields import clean
from services.primitives.documents import formats
from services.primitives.documents.archive import Archive
from services.primitives.documents.extracted import ENCRYPTED, MAX_PARTS, Extracted
from services.primitives.documents.msg import InnerMessage, read_msg
from services.primitives.documents.opendocument import read_opendocument
from services.primitives.documents.pdf import read_pdf
from services.primitives.documents.plain import read_html, read_properties, read_rtf, read_table, read_text
from services.primitives.documents.sheets import read_sheets
from services.primitives.documents.slides import read_slides
from services.primitives.documents.tnef import File, read_tnef
from services.primitives.documents.word import read_word
from services.primitives.failure import ContentError
from services.primitives.mail.mime_source import MimeSource
from services.primitives.mail.parse import message_of

MAX_NESTING = 3
_OF_BYTES: Mapping[str, Callable[[bytes, Extracted], None]] = {
    formats.PDF: read_pdf,
    formats.RTF: read_rtf,
    formats.HTML: read_html,
    formats.CSV: read_table,
    formats.TXT: read_text,
    formats.ICS: read_properties,
    formats.VCF: read_properties,
}
_OF_ARCHIVE: Mapping[str, Callable[[Archive, Extracted], None]] = {
    formats.DOCX: read_word,
    formats.XLSX: read_sheets,
    formats.PPTX: read_slides,
    formats.ODF: read_opendocument,
}


def extract(request: pb2.ExtractDocumentRequest) -> pb2.ExtractDocumentResponse:
    """Read a document.

    Raises:
        ContentError: It cannot be read. Readers of others may raise anything else.
    """
    extracted = Extracted()
    extracted.answer.format = _read(request.content, request.file_name, request.content_type, extracted, 0)
    return extracted.finish()


def _read(content: bytes, name: str, media_type: str, extracted: Extracted, depth: int) -> str:
    """Read a document; return its format."""
    kind = formats.format_of(content, name, media_type)
    if kind == formats.ZIP:
        return _read_archive(Archive(content), extracted, depth)
    if kind == formats.EML:
        _read_mail(content, extracted, depth)
    elif kind == formats.MSG:
        _read_files(read_msg(content, extracted), extracted, depth)
    elif kind == formats.TNEF:
        _read_files(read_tnef(content, extracted), extracted, depth)
    elif kind == formats.OLE and b"E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e" in content:
        extracted.flags.add(ENCRYPTED)  # an Office document with a password (MS-OFFCRYPTO 2.3)
    elif kind in _OF_BYTES:
        _OF_BYTES[kind](content, extracted)
    else:
        raise ContentError("format_unknown")
    return kind


def _read_archive(archive: Archive, extracted: Extracted, depth: int) -> str:
    kind = formats.archive_format(archive)
    if archive.is_encrypted:
        extracted.flags.add(ENCRYPTED)
    elif kind in _OF_ARCHIVE:
        _OF_ARCHIVE[kind](archive, extracted)
    else:
        for name in archive.names:
            _read_part(name, "", lambda name=name: archive.read(name), extracted, depth + 1)  # type: ignore[misc]
    return kind


def _read_mail(content: bytes, extracted: Extracted, depth: int) -> None:
    source = MimeSource(content, keeps_files=True)
    mail, cuts = message_of(source)
    for name, value in (("subject", mail.subject), ("from", mail.from_address.address)):
        extracted.fact(name, value)
    extracted.lines(mail.body.text)
    extracted.answer.is_text_cut |= cuts.is_text_cut
    for found in mail.attachments:
        file = source.files.get(found.part_id, b"")
        _read_part(found.name, found.content_type, lambda file=file: file, extracted, depth + 1)  # type: ignore[misc]


def _read_files(files: Sequence[File | InnerMessage], extracted: Extracted, depth: int) -> None:
    """Read the attachments of a mail in one of Outlook's formats."""
    for file in files:
        if isinstance(file, InnerMessage):
            _read_inner(file, extracted, depth + 1)
        else:
            _read_part(file.name, file.media_type, lambda file=file: file.content, extracted, depth + 1)  # type: ignore[misc]


def _read_inner(message: InnerMessage, extracted: Extracted, depth: int) -> None:
    def read(part: pb2.DocumentPart) -> None:
        part.format = formats.MSG
        _read_files(message.read(extracted), extracted, depth)

    _within_part(message.name, read, extracted, depth)


def _read_part(name: str, media_type: str, read: Callable[[], bytes], extracted: Extracted, depth: int) -> None:
    """Read a document in a document."""

    def read_content(part: pb2.DocumentPart) -> None:
        content = read()
        part.size_bytes = len(content)
        part.format = _read(content, name, media_type, extracted, depth)

    _within_part(name, read_content, extracted, depth)


def _within_part(name: str, read: Callable[[pb2.DocumentPart], None], extracted: Extracted, depth: int) -> None:
    """Read a part within the bounds. A failure is its own, but for one that bounds the whole."""
    extracted.parts += 1
    if extracted.parts > MAX_PARTS:
        extracted.answer.is_text_cut = True
        return
    part = extracted.answer.parts.add(name=_file_name(name), start=extracted.length, end=extracted.length)
    if depth > MAX_NESTING:
        part.fault = "nesting"
        return
    try:
        read(part)
    except ContentError as exc:
        if exc.cause == "bomb":
            raise
        part.fault = exc.cause
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - readers of others' formats raise anything; its text may quote the content
        part.fault = "malformed"
    part.end = extracted.length


def _file_name(name: str) -> str:
    """Return the last part of a name, as no place on a disk and without control characters."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(character for character in clean(last) if character.isprintable())[:200]
