"""Documents made for the tests, by hand: what each format needs and no more."""

import io
import zipfile
import zlib

import pypdf
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    NameObject,
    NumberObject,
    TextStringObject,
)

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
P = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
RELS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
CORE = (
    '<cp:coreProperties xmlns:cp="x" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Offer 17</dc:title>'
    "<dc:creator>Ada</dc:creator></cp:coreProperties>"
)


def zipped(members: dict[str, str | bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def relations(*targets: tuple[str, str, str], mode: str = "") -> str:
    rows = "".join(
        f'<Relationship Id="{key}" Type="{RELS}/{kind}" Target="{target}"{mode}/>' for key, kind, target in targets
    )
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{rows}</Relationships>'


def word(body: str, **more: str | bytes) -> bytes:
    members: dict[str, str | bytes] = {
        "word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>",
        "docProps/core.xml": CORE,
    }
    return zipped(members | {name.replace("__", "/"): content for name, content in more.items()})


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r></w:p>"


def workbook(sheet: str, hidden: str = "", **more: str | bytes) -> bytes:
    members: dict[str, str | bytes] = {
        "xl/workbook.xml": f'<workbook {S} {R}><sheets><sheet name="Prices" sheetId="1" r:id="r1"/>'
        '<sheet name="Secret" sheetId="2" state="hidden" r:id="r2"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relations(
            ("r1", "worksheet", "worksheets/sheet1.xml"), ("r2", "worksheet", "/xl/worksheets/sheet2.xml")
        ),
        "xl/worksheets/sheet1.xml": f"<worksheet {S}><sheetData>{sheet}</sheetData></worksheet>",
        "xl/worksheets/sheet2.xml": f"<worksheet {S}><sheetData>{hidden}</sheetData></worksheet>",
        "xl/sharedStrings.xml": f"<sst {S}><si><t>Item</t></si><si><r><t>Pri</t></r><r><t>ce</t></r></si>"
        "<si><t>日付</t><rPh><t>ヒヅケ</t></rPh></si></sst>",
        "xl/styles.xml": f'<styleSheet {S}><numFmts><numFmt numFmtId="164" formatCode="dd/mm/yyyy"/></numFmts>'
        '<cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="22"/></cellXfs></styleSheet>',
    }
    return zipped(members | {name.replace("__", "/"): content for name, content in more.items()})


def presentation() -> bytes:
    def slide(inner: str, attributes: str = "") -> str:
        return f"<p:sld {P} {A} {attributes}>{inner}</p:sld>"

    def text(words: str) -> str:
        return f"<p:sp><p:txBody><a:p><a:r><a:t>{words}</a:t></a:r></a:p></p:txBody></p:sp>"

    cells = "".join(f"<a:tc><a:txBody><a:p><a:r><a:t>{word}</a:t></a:r></a:p></a:txBody></a:tc>" for word in ("x", "y"))
    return zipped(
        {
            "ppt/presentation.xml": f'<p:presentation {P} {R}><p:sldIdLst><p:sldId id="256" r:id="b"/>'
            '<p:sldId id="257" r:id="a"/><p:sldId id="258" r:id="c"/></p:sldIdLst></p:presentation>',
            "ppt/_rels/presentation.xml.rels": relations(
                *((key, "slide", f"slides/slide{number}.xml") for number, key in enumerate("abc", 1))
            ),
            "ppt/slides/slide1.xml": slide(text("Second") + f"<a:tbl><a:tr>{cells}</a:tr></a:tbl>"),
            "ppt/slides/slide2.xml": slide(text("First")),
            "ppt/slides/slide3.xml": slide(text("Hidden"), 'show="0"'),
            "ppt/slides/_rels/slide1.xml.rels": relations(("n", "notesSlide", "../notesSlides/notesSlide1.xml")),
            "ppt/notesSlides/notesSlide1.xml": slide(text("Say this.")),
        }
    )


def opendocument() -> bytes:
    names = 'xmlns:text="urn:text" xmlns:table="urn:table" xmlns:office="urn:office"'
    cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>"
    return zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f"<office:doc {names}><office:body><text:tracked-changes><text:p>deleted</text:p>"
            "</text:tracked-changes><text:h>Title</text:h><text:p>One<text:s/>two <text:span>three</text:span></text:p>"
            f"<table:table><table:table-row>{cell.format('a')}{cell.format('b')}"
            '<table:table-cell table:number-columns-repeated="16382"/></table:table-row></table:table>'
            "</office:body></office:doc>",
        }
    )


def pdf(*pages: str, password: str = "", fields: dict[str, str] | None = None, script: bool = False) -> bytes:
    writer = pypdf.PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in pages:
        page = writer.add_blank_page(300, 300)
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET BT /F1 12 Tf 2000 200 Td (far) Tj ET".encode("latin-1"))
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
        page[NameObject("/Contents")] = writer._add_object(stream)
    if fields:
        made = ArrayObject(
            writer._add_object(
                DictionaryObject(
                    {
                        NameObject("/FT"): NameObject("/Tx"),
                        NameObject("/T"): TextStringObject(name),
                        NameObject("/V"): TextStringObject(value),
                        NameObject("/Subtype"): NameObject("/Widget"),
                        NameObject("/Rect"): ArrayObject([NumberObject(0)] * 4),
                    }
                )
            )
            for name, value in fields.items()
        )
        writer._root_object[NameObject("/AcroForm")] = DictionaryObject({NameObject("/Fields"): made})
    if script:
        action = {"/S": NameObject("/JavaScript"), "/JS": TextStringObject("app.alert(1)")}
        writer._root_object[NameObject("/OpenAction")] = DictionaryObject(
            {NameObject(name): value for name, value in action.items()}
        )
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    made_file = io.BytesIO()
    writer.write(made_file)
    return made_file.getvalue()


def compressed_pdf() -> bytes:
    """A PDF whose catalog, form and script are in a stream of objects (ISO 32000-1 7.5.7)."""
    objects = (
        "<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[4 0 R]>>/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>>>",
        "<</Type/Pages/Count 1/Kids[3 0 R]>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Contents 6 0 R/Resources<</Font<</F1 8 0 R>>>>>>",
        "<</FT/Tx/T(iban)/V(DE02)/Subtype/Widget/Rect[0 0 0 0]>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    starts = [sum(len(before) + 1 for before in objects[:number]) for number in range(len(objects))]
    index = " ".join(f"{number} {start}" for number, start in zip((1, 2, 3, 4, 8), starts, strict=True)) + " "
    made = bytearray(b"%PDF-1.5\n")
    rows = [(0, 0, 0), *((2, 5, place) for place in range(4))]

    def stream(number: int, entries: str, data: bytes) -> None:
        packed = zlib.compress(data)
        made.extend(f"{number} 0 obj\n<<{entries}/Filter/FlateDecode/Length {len(packed)}>>\nstream\n".encode())
        made.extend(packed + b"\nendstream\nendobj\n")

    rows.append((1, len(made), 0))
    inner = (index + " ".join(objects)).encode()
    stream(5, f"/Type/ObjStm/N {len(objects)}/First {len(index)}", inner)
    rows.append((1, len(made), 0))
    stream(6, "", b"BT /F1 12 Tf 20 200 Td (Page) Tj ET")
    place = len(made)
    rows.append((1, place, 0))
    rows.append((2, 5, 4))
    table = b"".join(bytes((kind,)) + at.to_bytes(4, "big") + bytes((last,)) for kind, at, last in rows)
    stream(7, f"/Type/XRef/Size {len(rows)}/W[1 4 1]/Root 1 0 R", table)
    return bytes(made) + f"startxref\n{place}\n%%EOF\n".encode()
