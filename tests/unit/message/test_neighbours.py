"""Neighbours of difficult mails: many variants of each kind, generated, with the rule of their standard."""

import itertools
from urllib.parse import quote, urljoin

import pytest

from services.message.flowed import unflow
from services.message.html import sanitize
from services.message.html_text import to_text
from tests.unit.message.test_hard_mails import mapped, part

QUOTES = ['"{}"', "'{}'", "{}", ' "{}"', "\n'{}'"]
BASES = [
    "https://x.example", "https://x.example/", "https://x.example/a/b?c=/d", "http://x.example/a/../b/",
    "HTTPS://X.example/a#f",
]  # fmt: skip
ADDRESSES = ["b", "b/c.html?x=1", "./b", "../b", "/b", "//y.example/b", "?q=1", "https://y.example/", "b%20c", "b;c=d"]


def text_of(html: str) -> str:
    return to_text(sanitize(html))


@pytest.mark.parametrize("quoted", QUOTES)
@pytest.mark.parametrize("base", BASES)
def test_links_are_resolved_against_the_base(base: str, quoted: str) -> None:
    """HTML 4.2.3 and 4.6.1: also of picture maps and of pictures."""
    for address in ADDRESSES:
        written = quoted.format(address)
        made = sanitize(
            f"<base href={quoted.format(base)}><a href={written}>x</a><img src={written}>"
            f"<map name=m><AREA shape=rect HREF={written}></map>"
        )
        expected = urljoin(base, address)
        found = made.replace("HTTPS://X", "https://X")
        expected = expected.replace("HTTPS://X", "https://X")
        assert found.count(f'href="{expected}"') == 2, (address, made)
        assert f'src="{expected}"' in found


@pytest.mark.parametrize("start", ["1", "5", "0", "-3", " 7", "+4"])
@pytest.mark.parametrize("value", ["", ' value="20"', " value=20", " VALUE='20'"])
def test_items_of_a_list_have_the_numbers_of_the_html(start: str, value: str) -> None:
    """HTML 4.4.5 and 4.4.8."""
    first, second = int(start), 20 if value else int(start) + 1

    made = text_of(f"<OL START='{start}'><li>a<li{value}>b<li>c</ol>")
    assert f"  {first}. a\n  {second}. b\n  {second + 1}. c" == made


BLOCKS = ["address", "article", "aside", "blockquote", "center", "dd", "div", "dl", "dt", "figure", "footer", "h1",
          "h2", "header", "li", "main", "nav", "p", "pre", "section", "summary", "form", "fieldset", "legend",
          "optgroup", "hgroup", "figcaption", "details"]  # fmt: skip
DISPLAYS = ["block", "table", "flex", "grid", "list-item", "flow-root", "table-row", "BLOCK", "block !important"]


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_stand_on_lines_of_their_own(name: str) -> None:
    """HTML 15.3.3 and 15.3.8."""
    assert ["a", "b", "c"] == [line.strip("• ") for line in text_of(f"a<{name}>b</{name}>c").split("\n") if line]


@pytest.mark.parametrize(("display", "name"), list(itertools.product(DISPLAYS, ["span", "a", "b", "font", "em"])))
def test_elements_shown_as_blocks_do_not_grow_together(display: str, name: str) -> None:
    """CSS 2.2 9.2.1, CSS Display 3."""
    assert "a\nb\nc" == text_of(f"a<{name} style='Display:{display}'>b</{name}>c")


@pytest.mark.parametrize("display", ["inline", "inline-block", "contents"])
@pytest.mark.parametrize("name", ["div", "section", "nav"])
def test_blocks_shown_in_lines_stay_in_their_line(display: str, name: str) -> None:
    assert "abc" == text_of(f"a<{name} style='display:{display}'>b</{name}>c").replace("• ", "")


IDS = ["a@x", "a+b@x.example", "a&b@x.example", "a%b@x.example", "a b@x.example", "image001.png@01D9.1234", "ü@x",
       "A@x",       "a'b@x.example", "{1234-ABC}@x", "a/b@x", "a=b@x", "a#b@x", "a?b@x"]  # fmt: skip
PLACES = [
    "<img src={}>",
    "<td background={}>",
    "<IMG SRC={}>",
    "<a href={}>x</a>",
    "<video poster={}>",
    "<input src={}>",
]


@pytest.mark.parametrize("content_id", IDS)
def test_a_reference_finds_its_part_in_each_form(content_id: str) -> None:
    """RFC 2392 2: percent-encoded where an address needs it; any case of the scheme; one id begins another."""
    forms = {quote(content_id, safe="@"), quote(content_id, safe="@+&=/'"), quote(content_id, safe="")}
    for form, place, scheme in itertools.product(sorted(forms), PLACES, ["cid:", "CID:", "Cid:"]):
        escaped = form.replace("&", "&amp;").replace('"', "&quot;")
        html = part("text/html", f"<p>x{place.format(f'{chr(34)}{scheme}{escaped}{chr(34)}')}</p>")
        others = [content_id, f"{content_id}.org", content_id[:-1]]
        pictures = [part("image/png", "x", ("Content-ID", f"<{one}>")) for one in others]
        found = mapped("multipart/related", parts=[html, *pictures]).attachments

        assert [True, False, False] == [one.is_inline for one in found], (form, place, scheme)


LINES = ["one ", "two", "> one ", ">> two", "> three", ">", " ", "", "-- ", "> -- ", " >x ", " From", "a  ", "\tb "]


def unflowed(text: str, *, delete_space: bool) -> str:
    """RFC 3676 4.1 to 4.5 and 5, one rule after the other: quotes, stuffing, signature, flowed or fixed."""
    made: list[tuple[int, str, bool]] = []
    for line in text.split("\n"):
        depth = len(line) - len(line.lstrip(">"))
        content = line[depth:].removeprefix(" ")
        is_signature = content == "-- "
        is_flowed = content.endswith(" ") and not is_signature
        kept = content[:-1] if is_flowed and delete_space else content
        if made and made[-1][2] and made[-1][0] == depth and not is_signature:
            made[-1] = (depth, made[-1][1] + kept, is_flowed)
        else:
            made.append((depth, kept, is_flowed))
    return "\n".join(f"{'>' * depth} {content}" if depth else content for depth, content, _ in made)


@pytest.mark.parametrize("delete_space", [False, True])
def test_flowed_lines_in_each_order(delete_space: bool) -> None:
    for lines in itertools.product(LINES, repeat=3):
        text = "\n".join(lines)
        assert unflowed(text, delete_space=delete_space) == unflow(text, delete_space=delete_space), text


ENDS = ["\n", "\r\n", "\r"]
CHARACTERS = ["\f", "\x0b", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize(("end", "character"), list(itertools.product(ENDS, CHARACTERS)))
def test_only_line_ends_end_lines_whatever_else_is_in_them(end: str, character: str) -> None:
    """RFC 5322 2.1 and 2.3; RFC 3629 6: one mark at the beginning is none of the text."""
    message = mapped(
        "text/plain", f"\ufeffa{character}b{end}c{end}{end}d\ufeffe", ("Content-Type", "text/plain; charset=utf-8")
    )

    assert f"a{character}b\nc\n\nd\ufeffe" == message.body.text


UNITS = [
    "px",
    "pt",
    "em",
    "rem",
    "%",
    "vw",
    "vh",
    "in",
    "cm",
    "mm",
    "pc",
    "ex",
    "ch",
    "vmin",
    "vmax",
    "Q",
    "svw",
    "cqw",
]
MOVING = ["margin-left:-{}", "margin:0 0 0 -{}", "margin-top:-{}", "margin-inline-start:-{}", "inset:-{}", "top:-{}",
          "transform:translate(-{})", "translate:-{}", "position:absolute", "position:fixed;left:{}",
          "float:left;left:{}",          "width:99999{}", "min-width:99999{}", "font-size:9999{}",
          "padding-left:9999{}", "line-height:9999{}",
          "border-width:9999{}", "letter-spacing:-{}", "outline-offset:{}", "zoom:9",
          "width:calc(9999{} * 9)"]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_no_style_moves_content_over_its_surroundings(unit: str) -> None:
    """CSS 2.2 8.3, 9.3 and 10; CSS Values 4, 6."""
    for style, mark in itertools.product(MOVING, ["", " !important", " ! IMPORTANT"]):
        value = style.format(f"90{unit}") if "9999{}" not in style else style.format(unit)
        made = sanitize(f'<p style="{value}{mark}">x</p>')
        assert made in ("<p>x</p>", "") or "float" in value, (value, made)
