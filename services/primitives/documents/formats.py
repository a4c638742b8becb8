"""The format of a document: by its content; the name and the media type decide between kinds of text only."""

import re

from services.primitives.documents import msg, sheets, slides, tnef, word
from services.primitives.documents.archive import Archive

PDF, DOCX, XLSX, PPTX, ODF, ZIP = "pdf", "docx", "xlsx", "pptx", "opendocument", "zip"
RTF, HTML, CSV, TXT, EML, ICS, VCF, OLE = "rtf", "html", "csv", "txt", "eml", "ics", "vcf", "ole"
MSG, TNEF = "msg", "tnef"
_OFFICE = {word.MAIN: DOCX, sheets.MAIN: XLSX, slides.MAIN: PPTX}
_PDF = b"%PDF-"
_STARTS = (
    (_PDF, PDF),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"{\\rtf", RTF),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE),
    (tnef.SIGNATURE, TNEF),
)
_ENDINGS = {"csv": CSV, "tsv": CSV, "htm": HTML, "html": HTML, "eml": EML, "ics": ICS, "vcf": VCF}
_TYPES = {
    "text/csv": CSV, "text/tab-separated-values": CSV, "text/html": HTML, "message/rfc822": EML, "text/calendar": ICS,
    "text/vcard": VCF, "text/x-vcard": VCF,
}  # fmt: skip
_MARKUP = re.compile(rb"\s*<(!doctype html|html|head|body)\b", re.IGNORECASE)
# These names of fields alone make a mail; those that other files begin with as well need a second field behind them.
_HEADER = re.compile(
    rb"(From|Received|Return-Path|Delivered-To|MIME-Version|Message-ID|Subject|Date|To):"
    rb"|(ARC-[A-Z-]{1,70}|Authentication-Results|Cc|Content-[A-Z-]{1,70}|DKIM-Signature|DomainKey-Signature"
    rb"|In-Reply-To|List-[A-Z-]{1,70}|Received-SPF|References|Reply-To|Resent-[A-Z-]{1,70}|Sender|X-[!-9;-~]{1,70}):"
    rb"[^\r\n]*(\r?\n[ \t][^\r\n]*)*\r?\n[A-Z][!-9;-~]{0,76}:",
    re.IGNORECASE,
)
_SEEN = 4096
_SEEN_OF_HEADER = 64 * 1024
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def format_of(content: bytes, name: str, media_type: str) -> str:
    """Return the format; empty when it is not known.

    Args:
        content: The document.
        name: Its file name, which may be empty or a lie.
        media_type: Its media type, the same.
    """
    head = content[:_SEEN]
    if found := next((kind for start, kind in _STARTS if head.startswith(start)), ""):
        return MSG if found == OLE and msg.MARK in content else found
    text = head.removeprefix(b"\xef\xbb\xbf")
    upper = text.lstrip()[:20].upper()
    if upper.startswith((b"BEGIN:VCALENDAR", b"BEGIN:VCARD")):
        return ICS if b"CALENDAR" in upper else VCF
    if _MARKUP.match(text):
        return HTML
    is_text = not _BINARY.search(head) or head.startswith((b"\xff\xfe", b"\xfe\xff"))
    if is_text and (kind := _claimed(name, media_type) or _mail(content)):
        return kind
    # Bytes may stand before the header of a PDF. A text may speak of it, and has no objects.
    if _PDF in head[:1024] and b"endobj" in content:
        return PDF
    return TXT if is_text else ""


def _claimed(name: str, media_type: str) -> str:
    usual = _ENDINGS.get(name.rpartition(".")[2].lower(), "")
    return _TYPES.get(media_type.partition(";")[0].strip().lower(), usual)


def _mail(content: bytes) -> str:
    head = content[:_SEEN_OF_HEADER].removeprefix(b"\xef\xbb\xbf")
    return EML if _HEADER.match(head) else ""


def archive_format(archive: Archive) -> str:
    """Return the format of a zip archive: the document that it is, or `zip`."""
    for main, kind in _OFFICE.items():
        if main in archive:
            return kind
    return ODF if "mimetype" in archive and "content.xml" in archive else ZIP
