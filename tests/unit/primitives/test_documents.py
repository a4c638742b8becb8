"""Documents become text, tables, pages, facts and flags; each format by what it is, not by its name."""

import io
import random
import zipfile
from email.message import EmailMessage

import pytest

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.primitives.documents.extract import extract
from services.primitives.failure import ContentError
from tests.unit.primitives import samples
from tests.unit.primitives.samples import paragraph

RTF = rb"{\rtf1\ansi {\b Bold} and \u8364? plain\par second}"


def read(content: bytes, name: str = "", media_type: str = "") -> pb2.ExtractDocumentResponse:
    return extract(pb2.ExtractDocumentRequest(content=content, file_name=name, content_type=media_type))


def rows(answer: pb2.ExtractDocumentResponse) -> list[list[list[str]]]:
    return [[list(row.cells) for row in table.rows] for table in answer.tables]


def pages(answer: pb2.ExtractDocumentResponse) -> dict[str, str]:
    return {page.name: answer.text[page.start : page.end] for page in answer.pages}


def test_a_word_document_has_insertions_tables_headers_and_no_deletions_and_no_hidden_text() -> None:
    table = "".join(
        "<w:tr>" + "".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in line) + "</w:tr>" for line in ("ab", "cd")
    )
    body = (
        paragraph("Hello")
        + "<w:p><w:ins><w:r><w:t>inserted</w:t></w:r></w:ins>"
        + "<w:del><w:r><w:delText>deleted</w:delText></w:r></w:del>"
        + "<w:moveFrom><w:r><w:t>moved</w:t></w:r></w:moveFrom></w:p>"
        + "<w:p><w:moveTo><w:r><w:t>moved</w:t></w:r></w:moveTo></w:p>"
        + paragraph("hidden", "<w:vanish/>")
        + f"<w:tbl>{table}</w:tbl>"
        + paragraph("End")
    )
    header = f"<w:hdr {samples.W}>{paragraph('Letterhead')}</w:hdr>"

    answer = read(samples.word(body, **{"word__header1.xml": header}))

    assert answer.format == "docx"
    assert answer.text.split("\n") == ["Letterhead", "Hello", "inserted", "moved", "", "a\tb", "c\td", "End", ""]
    assert rows(answer) == [[["a", "b"], ["c", "d"]]]
    assert list(answer.flags) == ["hidden_text"]
    assert dict(answer.metadata) == {"title": "Offer 17", "creator": "Ada"}


def test_macros_embedded_files_and_external_templates_are_reported_and_a_hyperlink_is_not() -> None:
    outside = ' TargetMode="External"'
    answer = read(
        samples.word(
            paragraph("x"),
            **{
                "word__vbaProject.bin": b"x",
                "word__embeddings__a.bin": b"x",
                "word___rels__settings.xml.rels": samples.relations(
                    ("r", "attachedTemplate", "https://example.com/t.dotm"), mode=outside
                ),
            },
        )
    )
    harmless = samples.relations(("r", "hyperlink", "https://example.com/"), mode=outside)

    assert list(answer.flags) == ["embedded_files", "external_links", "macros"]
    assert list(read(samples.word(paragraph("x"), **{"word___rels__document.xml.rels": harmless})).flags) == []


def test_a_workbook_has_shown_values_dates_and_sheets_and_reports_the_hidden_ones() -> None:
    sheet = (
        '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="C1" t="s"><v>2</v></c></row>'
        '<row r="2"><c r="A2" t="inlineStr"><is><t>Tea</t></is></c><c r="B2"><f>1+1.5</f><v>2.5</v></c>'
        '<c r="C2" s="1"><v>46353</v></c><c r="D2" s="2"><v>46353.5</v></c><c r="E2" t="b"><v>1</v></c></row>'
        '<row r="3" hidden="1"><c r="A3"><v>99</v></c></row>'
    )

    answer = read(samples.workbook(sheet, '<row><c t="inlineStr"><is><t>hidden</t></is></c></row>'))

    assert answer.format == "xlsx"
    assert rows(answer) == [[["Item", "Price", "日付"], ["Tea", "2.5", "2026-11-27", "2026-11-27T12:00:00", "TRUE"]]]
    assert pages(answer) == {"Prices": "Item\tPrice\t日付\nTea\t2.5\t2026-11-27\t2026-11-27T12:00:00\tTRUE\n"}
    assert list(answer.flags) == ["hidden_text"]


def test_a_workbook_of_the_other_date_system_has_the_same_dates() -> None:
    sheets = '<workbookPr date1904="1"/><sheets><sheet name="P" r:id="r1"/></sheets>'
    book = f"<workbook {samples.S} {samples.R}>{sheets}</workbook>"
    cells = '<row><c s="1"><v>44891</v></c><c s="1"><v>0.5</v></c><c s="1"><v>2958000</v></c></row>'

    answer = read(samples.workbook(cells, **{"xl__workbook.xml": book}))

    assert rows(answer) == [[["2026-11-27", "12:00:00", "2958000"]]]


def test_a_sparse_sheet_costs_its_cells_alone() -> None:
    far = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'

    answer = read(samples.workbook(far))

    assert rows(answer) == [[["1"], ["2"]]]
    assert answer.are_tables_cut


def test_a_presentation_has_its_slides_in_order_with_tables_and_notes() -> None:
    answer = read(samples.presentation())

    assert answer.format == "pptx"
    assert pages(answer) == {"slide 1": "First\n", "slide 2": "Second\nx\ty\nSay this.\n"}
    assert rows(answer) == [[["x", "y"]]]
    assert list(answer.flags) == ["hidden_text"]


def test_an_opendocument_has_text_and_tables_and_nothing_that_was_deleted() -> None:
    answer = read(samples.opendocument())

    assert (answer.format, answer.text, rows(answer)) == (
        "opendocument",
        "Title\nOne two three\na\tb\n",
        [[["a", "b"]]],
    )


def test_a_pdf_has_pages_and_values_of_its_form_and_nothing_beyond_the_page() -> None:
    answer = read(samples.pdf("Page one", "Page two", fields={"iban": "DE02"}, script=True))

    assert answer.format == "pdf"
    assert pages(answer) == {"page 1": "Page one\n", "page 2": "Page two\n", "form": "iban: DE02\n"}
    assert list(answer.flags) == ["scripts"]
    assert list(read(samples.pdf("")).flags) == ["no_text"]
    assert list(read(samples.pdf("secret", password="x")).flags) == ["encrypted"]


def test_forms_and_scripts_of_a_pdf_are_found_in_compressed_objects() -> None:
    content = samples.compressed_pdf()

    answer = read(content)

    assert b"/AcroForm" not in content
    assert b"/JS" not in content
    assert pages(answer) == {"page 1": "Page\n", "form": "iban: DE02\n"}
    assert list(answer.flags) == ["scripts"]


def test_a_damaged_form_and_a_damaged_page_of_a_pdf_leave_the_rest() -> None:
    form = samples.pdf("Page one", fields={"iban": "DE02"}).replace(b"/T (iban)", b"/T 99999 0 R")
    page = samples.pdf("Page one", "Page two").replace(b"/Type /Page\n", b"/Type /Gone\n", 1)

    assert (read(form).text, list(read(form).flags)) == ("Page one\n", ["form_unreadable"])
    assert (read(page).text, list(read(page).flags)) == ("Page two\n", ["pages_unreadable"])


@pytest.mark.parametrize(
    ("content", "name", "media_type", "kind", "text"),
    [
        ("Grüße\nzwei".encode("latin-1"), "a.txt", "", "txt", "Grüße\nzwei\n"),
        ("Grüße".encode("utf-16"), "a.txt", "", "txt", "Grüße\n"),
        (b"<html><body><p>One</p><p style='display:none'>no</p></body></html>", "a.txt", "", "html", "One\n"),
        (RTF, "a.doc", "application/msword", "rtf", "Bold and € plain\nsecond\n"),
        (b"BEGIN:VCARD\r\nFN:Ada\\, Countess\r\nNOTE:one\r\n two\r\nEND:VCARD\r\n", "", "", "vcf", None),
        (b"BEGIN:VCALENDAR\r\nSUMMARY;LANGUAGE=en:Meet\\nus\r\nEND:VCALENDAR", "", "", "ics", None),
    ],
)
def test_files_that_are_text_are_read_by_their_content(
    content: bytes, name: str, media_type: str, kind: str, text: str | None
) -> None:
    answer = read(content, name, media_type)

    assert answer.format == kind
    assert text is None or answer.text == text
    assert kind != "vcf" or "FN: Ada, Countess\nNOTE: onetwo\n" in answer.text
    assert kind != "ics" or "SUMMARY: Meet\nus\n" in answer.text
    assert kind != "html" or list(answer.flags) == ["hidden_text"]


def test_a_table_with_separators_is_split_by_the_one_of_its_first_line() -> None:
    answer = read(b'Item;Price\n"Tea; green";2,50\n', "prices.csv")

    assert rows(answer) == [[["Item", "Price"], ["Tea; green", "2,50"]]]


def test_a_table_with_a_quote_that_nothing_closes_is_cut_and_its_text_stays() -> None:
    content = b'Item,Price\nTea,2\n"' + b"open,1\n" * 30_000

    answer = read(content, "prices.csv")

    assert rows(answer) == [[["Item", "Price"], ["Tea", "2"]]]
    assert (answer.are_tables_cut, answer.text) == (True, content.decode())


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_file_of_an_archive_that_is_compressed_by_another_method_is_refused_and_the_others_are_read(
    method: int,
) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        archive.writestr("a.txt", b"no")
        archive.writestr("b.txt", b"yes", zipfile.ZIP_STORED)

    answer = read(made.getvalue())

    assert (answer.text, [part.fault for part in answer.parts]) == ("yes\n", ["malformed", ""])


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (b"The file begins with %PDF-1.7, and no obj is in it.\n", "", "txt"),
        (b"Subject: broken\n\nThe file has %PDF-1.7 and 1 0 obj.\n", "", "eml"),
        (b"name,start\ninvoice,%PDF-1.7 1 0 obj\n", "a.csv", "csv"),
        (b"\r\n\0 junk " + samples.pdf("Page"), "", "pdf"),
        (b"DKIM-Signature: v=1; a=rsa-sha256;\r\n\tb=abc\r\nX-Mailer: x\r\n\r\nbody", "", "eml"),
        (b"ARC-Seal: i=1\nARC-Message-Signature: i=1\n\nbody", "", "eml"),
        (b"Authentication-Results: mx; spf=pass\nSubject: x\n\nbody", "", "eml"),
        (b"Content-Type: text/plain\nFrom: a@example.com\n\nbody", "", "eml"),
        (b"X-Long: " + b"a" * 10_000 + b"\nSubject: x\n\nbody", "", "eml"),
        (b"X-ray: a picture\nof bones", "", "txt"),
        (b"Name: Ada\nAge: 36\n", "", "txt"),
    ],
)
def test_a_format_is_taken_from_the_header_before_words_in_the_text(content: bytes, name: str, kind: str) -> None:
    assert read(content, name).format == kind


def test_a_mail_and_an_archive_have_their_files_as_parts() -> None:
    files = {"../../evil\x07.csv": "a,b\n", "word.docx": samples.word(paragraph("Deep")), "x.bin": b"\0\1"}
    inner = samples.zipped(files)
    message = EmailMessage()
    message["Subject"], message["From"] = "Files", "ada@example.com"
    message.set_content("See below.")
    message.add_attachment(inner, maintype="application", subtype="zip", filename="all.zip")

    answer = read(message.as_bytes())

    assert (answer.format, answer.metadata["subject"]) == ("eml", "Files")
    assert [(part.name, part.format, part.fault) for part in answer.parts] == [
        ("all.zip", "zip", ""),
        ("evil.csv", "csv", ""),
        ("word.docx", "docx", ""),
        ("x.bin", "", "format_unknown"),
    ]
    deep = answer.parts[2]
    assert answer.text[deep.start : deep.end] == "Deep\n"
    assert answer.text.startswith("See below.\n")


@pytest.mark.parametrize("content", [b"\0\1\2\3", b"\x7fELF\x02\x01\x01\0", b"\x89PNG\r\n\x1a\n\0\0"])
def test_what_is_no_document_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(ContentError, match="format_unknown"):
        read(content, "invoice.pdf", "application/pdf")


def test_damaged_documents_fail_by_a_name_or_are_read() -> None:
    chance = random.Random(16)
    whole = [samples.word(paragraph("x")), samples.workbook(""), samples.presentation(), samples.opendocument(), RTF]
    causes = set()
    for content in whole * 30:
        damaged = bytearray(content)
        for _ in range(chance.randrange(1, 10)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            read(bytes(damaged[: chance.randrange(4, len(damaged) + 1)]))
        except ContentError as exc:
            causes.add(exc.cause)
    assert causes
    assert causes <= {"malformed", "format_unknown", "nesting", "bomb"}
