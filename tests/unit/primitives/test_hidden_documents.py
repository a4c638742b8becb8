"""Text that a document does not show is left out, and a flag reports it; text that is shown stays."""

import pytest

from services.primitives.documents.styles import Styles
from tests.unit.primitives import samples
from tests.unit.primitives.samples import paragraph
from tests.unit.primitives.test_documents import read, rows

NAMES = " ".join(f'xmlns:{name}="urn:{name}"' for name in ("text", "table", "office", "style", "draw"))
COMMON = (
    '<style:style style:name="Secret" style:family="paragraph">'
    '<style:text-properties text:display="none"/></style:style>'
)
AUTOMATIC = (
    '<style:style style:name="P1" style:family="paragraph" style:parent-style-name="Secret"/>'
    '<style:style style:name="T1" style:family="text"><style:text-properties text:display="none"/></style:style>'
    '<style:style style:name="ta1" style:family="table"><style:table-properties table:display="false"/></style:style>'
    '<style:style style:name="dp1" style:family="drawing-page">'
    '<style:drawing-page-properties presentation:visibility="hidden" xmlns:presentation="urn:p"/></style:style>'
)


def opendocument(body: str, common: str = COMMON) -> bytes:
    return samples.zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "styles.xml": f"<office:doc {NAMES}><office:styles>{common}</office:styles>"
            '<office:automatic-styles><style:style style:name="P9" style:family="paragraph">'
            '<style:text-properties text:display="none"/></style:style></office:automatic-styles></office:doc>',
            "content.xml": f"<office:doc {NAMES}><office:automatic-styles>{AUTOMATIC}</office:automatic-styles>"
            f"<office:body>{body}</office:body></office:doc>",
        }
    )


def cells(*texts: str) -> str:
    return "".join(f"<table:table-cell><text:p>{text}</text:p></table:table-cell>" for text in texts)


@pytest.mark.parametrize(
    "hidden",
    [
        '<text:p text:style-name="Secret">no</text:p>',
        '<text:p text:style-name="P1">no <text:span>no</text:span></text:p>',
        '<text:section text:display="none"><text:p>no</text:p></text:section>',
        '<text:section text:display="condition" text:is-hidden="true"><text:p>no</text:p></text:section>',
        '<draw:page draw:style-name="dp1"><text:p>no</text:p></draw:page>',
        f'<table:table table:style-name="ta1"><table:table-row>{cells("no")}</table:table-row></table:table>',
    ],
)
def test_an_opendocument_leaves_out_what_styles_and_sections_hide(hidden: str) -> None:
    answer = read(opendocument(f"<text:p>One</text:p>{hidden}<text:p>Two</text:p>"))

    assert (answer.text, list(answer.flags), rows(answer)) == ("One\nTwo\n", ["hidden_text"], [])


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ('One<text:span text:style-name="T1">no</text:span> two', "One two\n"),
        ('no<text:hidden-paragraph text:condition="x" text:is-hidden="true"/> no', "\n"),
    ],
)
def test_an_opendocument_leaves_out_hidden_parts_of_a_paragraph(inner: str, text: str) -> None:
    answer = read(opendocument(f"<text:p>{inner}</text:p>"))

    assert (answer.text, list(answer.flags)) == (text, ["hidden_text"])


@pytest.mark.parametrize(
    "shown",
    [
        '<text:p text:style-name="P9">yes</text:p>',
        '<text:section text:display="condition"><text:p>yes</text:p></text:section>',
        '<text:p>yes<text:hidden-paragraph text:condition="x"/></text:p>',
        '<text:p>yes</text:p><table:table><table:table-row table:visibility="collapse"/></table:table>',
    ],
)
def test_an_opendocument_keeps_what_is_shown_and_raises_no_flag(shown: str) -> None:
    answer = read(opendocument(shown))

    assert (answer.text, list(answer.flags)) == ("yes\n", [])


def test_hidden_rows_and_columns_of_an_opendocument_are_left_out() -> None:
    sheet = (
        '<table:table><table:table-column/><table:table-column table:visibility="collapse"/><table:table-column/>'
        f"<table:table-row>{cells('a', 'no', 'c')}</table:table-row>"
        f'<table:table-row table:visibility="filter">{cells("no")}</table:table-row>'
        f"<table:table-row>{cells('d')}<table:covered-table-cell/>{cells('f')}</table:table-row></table:table>"
    )

    answer = read(opendocument(sheet))

    assert (rows(answer), list(answer.flags)) == ([[["a", "", "c"], ["d", "f"]]], ["hidden_text"])


def test_a_word_document_leaves_out_what_its_styles_hide() -> None:
    def style(kind: str, name: str, inner: str) -> str:
        return f'<w:style w:type="{kind}" w:styleId="{name}">{inner}</w:style>'

    vanish = "<w:rPr><w:vanish/></w:rPr>"
    styles = (
        style("paragraph", "Base", vanish)
        + style("paragraph", "Derived", '<w:basedOn w:val="Base"/>')
        + style("character", "Secret", vanish)
        + style("paragraph", "Back", '<w:basedOn w:val="Base"/><w:rPr><w:vanish w:val="0"/></w:rPr>')
    )

    def styled(name: str, text: str, properties: str = "") -> str:
        run = f"<w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r>"
        return f'<w:p><w:pPr><w:pStyle w:val="{name}"/></w:pPr>{run}</w:p>'

    before = "<w:rPrChange><w:rPr><w:vanish/></w:rPr></w:rPrChange>"
    body = (
        paragraph("no", '<w:rStyle w:val="Secret"/>')
        + styled("Derived", "no")
        + styled("Derived", "shown", '<w:vanish w:val="false"/>')
        + styled("Back", "back")
        + paragraph("changed", before)
    )
    answer = read(
        samples.word(
            body,
            **{
                "word__styles.xml": f"<w:styles {samples.W}>{styles}</w:styles>",
                "word___rels__document.xml.rels": samples.relations(("s", "styles", "styles.xml")),
            },
        )
    )

    assert (answer.text.split(), list(answer.flags)) == (["shown", "back", "changed"], ["hidden_text"])


def test_styles_in_a_ring_hide_nothing() -> None:
    styles = Styles()
    styles.add("paragraph", "a", "b")
    styles.add("paragraph", "b", "a")

    assert not styles.hides("paragraph", "a")


def test_hidden_columns_of_a_workbook_are_left_out() -> None:
    columns = '<cols><col min="2" max="2" hidden="1"/><col min="x" max="9" hidden="1"/></cols>'
    row = '<row><c r="A1"><v>1</v></c><c r="B1"><v>2</v></c><c r="C1"><v>3</v></c></row>'

    answer = read(samples.workbook("", **{"xl__worksheets__sheet1.xml": (
        f"<worksheet {samples.S}>{columns}<sheetData>{row}</sheetData></worksheet>"
    )}))  # fmt: skip

    assert (rows(answer), list(answer.flags)) == ([[["1", "", "3"]]], ["hidden_text"])


@pytest.mark.parametrize(
    ("source", "text", "flags"),
    [
        (rb"{\rtf1 One {\v no \'6eo\u8364? \{no\}}two\par three}", "One two\nthree\n", ["hidden_text"]),
        (rb"{\rtf1 One \v no {no }no\v0  two}", "One  two\n", ["hidden_text"]),
        (rb"{\rtf1 One \v no\plain  two}", "One  two\n", ["hidden_text"]),
        (rb"{\rtf1{\stylesheet{\s1\v Secret;}}{\*\x\v no}One\v0 \viewkind4 two}", "Onetwo\n", []),
    ],
)
def test_rtf_leaves_out_hidden_text(source: bytes, text: str, flags: list[str]) -> None:
    answer = read(source)

    assert (answer.text, list(answer.flags)) == (text, flags)
