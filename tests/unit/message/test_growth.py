"""The time of mapping grows no faster than the mail, whatever it repeats; no mail holds the event loop."""

import asyncio
import base64
import threading
from collections.abc import Callable
from typing import Any

import pytest

from services.message.addresses import parse_addresses
from services.message.bounds import MAX_RECIPIENTS
from services.message.dates import parse_date
from services.message.flowed import unflow
from services.message.html import sanitize
from services.message.html_text import to_text
from services.message.ids import message_ids
from services.message.outline import MAX_TAGS, outline
from services.message.reply_marks import mark
from services.message.reply_split import split
from services.message.sheets import Sheet
from services.message.styles import read_style
from services.message.syntax import parse_value, without_comments
from services.message.words import decode_words
from services.processor.mail.sources import findings, gmail_mapping
from tests.unit.message.growth import TIMES, grows_too_fast

Read = Callable[[str], object]

# The repeated pieces: each special character of the grammars, alone, doubled and in the pairs that open something.
PIECES = [
    "<", ">", "(", ")", '"', "\\", "[", "]", ",", ";", ":", "@", ".", " ", "\t", "\n", "&", "=", "'", "a", "%", "*",
    "/", "-", '"\\', "(a", "<a", "<a>", "<a@b> ", "a@", "a@b ", "a@b,", " .", ". ", "a ", '" ', '<"', '"(',
    "=?utf-8?q?",
    "=?a?b?", "?=", "=?u?q?a?= ", "&amp", "&#", "&nbsp;", "<p>", "</p>", "<b", "<!--", "<style>", "<pre>", "<a b=",
    '<a b="', "<td>", "<br>", "\xa0", "{", "}", "/*", "*/", "a{", "url(", "rgb(", "1", "1e", "-1", "> ", "\n> ", " \n",
    ";a=", ";a*0=", "cid:", "\u2028", "=E4", "On \n", "On x ", "From:\n", "From: a@b\n", "a@b 2024 10:00 wrote:\n",
    "--\n", "__________\n", "x\xa0\n", "<div ", "<div>", "<div class=gmail_attr>", "<div class='", "</div>",
    "<blockquote type=cite>",
]  # fmt: skip
READERS: dict[str, Read] = {
    "addresses": parse_addresses, "ids": lambda text: list(message_ids(text)), "words": decode_words,
    "date": parse_date, "parameters": parse_value.__wrapped__, "comments": without_comments,
    "outline": outline, "sanitize": sanitize, "text of html": to_text, "style": read_style.__wrapped__,
    "sheet": lambda text: Sheet().add(text),
    "split": split, "marks": lambda text: mark("gmail_attr" + text),
    "flowed": lambda text: unflow(text, delete_space=True),
}  # fmt: skip
SMALL = 4_000


def _grows_too_fast(read: Read, piece: str, prefix: str) -> bool:
    small, large = prefix + piece * (SMALL // len(piece)), prefix + piece * (TIMES * SMALL // len(piece))
    return grows_too_fast(lambda: read(small), lambda: read(large))


@pytest.mark.parametrize("name", READERS)
def test_time_grows_no_faster_than_the_input(name: str) -> None:
    sheet = "<style>:not(:last-child){color:red}</style>"
    prefixes = ["", "<p style='", sheet] if name in ("outline", "sanitize") else ["", "a@b "]
    fast = [(prefix, piece) for prefix in prefixes for piece in PIECES if _grows_too_fast(READERS[name], piece, prefix)]

    assert [] == fast


# Pieces of which no two are alike, so that nothing that is kept for the next one helps; {} is a number.
NUMBERED = {
    "styles": '<p style="width:{}px;color:#{}">x</p>', "long styles": '<b style="--a:{};font:{}px a;margin:{}px">x</b>',
    "links": "<a href=b{}>x</a>", "quoted links": '<a href="b{}/../c?d={}&amp;e">x</a>', "tags": "<x{}>y</x{}>",
    "attributes": '<p a{}="{}" title="{}">x', "classes": "<style>.c{}{{color:red}}</style><p class=c{}>x</p>",
    "paths": "<style>.a .c{}{{display:none}}</style><p class='a c{}'>x", "hidden": "<p style='display:none'>{}</p>",
    "places": "<style>p:nth-child({}){{color:red}}</style><p>x</p>", "nested": "<style>.c{}{{.d{}{{top:0}}}}</style>",
    "grounds": '<td bgcolor="#{}"><font color="#{}">x</font></td>', "unread": "<style>:foo({}){{color:red}}</style>",
    "words": "w{} ", "references": "&#{};&amp;", "pictures": '<img src="cid:{}@x">', "lists": "<ol start={}><li>x",
    "lists that count down": "<ol reversed type=i><li>x</ol>",
    "rows": "<style>tr{{color:red}}</style><table><td>x</table>",
    "open": "<div class=c{}>", "variables": '<p style="--v{}:red;color:var(--v{})">x',
}  # fmt: skip


def _numbered(piece: str, count: int) -> str:
    head = "<base href=https://x.example/>"
    return head + "".join(
        piece.replace("{}", str(1000 + n)).replace("{{", "{").replace("}}", "}") for n in range(count)
    )


@pytest.mark.parametrize("name", NUMBERED)
def test_time_grows_no_faster_than_a_body_of_pieces_that_differ(name: str) -> None:
    small, large = (_mail(_numbered(NUMBERED[name], count)) for count in (500, TIMES * 500))

    assert not grows_too_fast(lambda: gmail_mapping.map_message(small), lambda: gmail_mapping.map_message(large))


def test_a_style_is_read_once_as_it_stands_and_once_as_it_is_written() -> None:
    """Also when there are more of them than are kept, and when the body has to be cut."""
    count = 8_000
    read_style.cache_clear()
    mapped = gmail_mapping.map_message(
        _mail(_numbered("<p style='top:0;width:{}px;color:#00{}'>some text here", count))
    )

    assert mapped.truncation is not None
    assert 2 * count >= read_style.cache_info().misses


def _mail(html: str) -> dict[str, Any]:
    data = base64.urlsafe_b64encode(html.encode()).decode()
    return {"id": "m1", "payload": {"mimeType": "text/html", "body": {"data": data}}}


def test_long_lists_and_many_tags_are_read_in_part() -> None:
    mapped = gmail_mapping.map_message(_mail("<p>" * (MAX_TAGS + 10_000)))

    assert mapped.truncation is not None
    assert mapped.truncation.is_html_cut
    assert len(parse_addresses("a@b.example," * 30_000)) == MAX_RECIPIENTS
    assert [] == parse_addresses("," * 400_000)


async def _mapped_in(raw: dict[str, Any]) -> str:
    """The name of the thread that maps an object."""
    found: list[str] = []

    def map_message(given: dict[str, Any]) -> Any:
        found.append(threading.current_thread().name)
        return gmail_mapping.map_message(given)

    assert isinstance(await findings.mapped_by(map_message, "googlews", raw), findings.Found)
    return found[0]


async def test_a_long_mail_is_mapped_beside_the_event_loop() -> None:
    here = threading.current_thread().name

    assert here == await _mapped_in(_mail("<p>short</p>"))
    assert here != await _mapped_in(_mail("<p>" * 5000))
    assert here != await _mapped_in({"id": "m", "payload": {"headers": [{"name": "X", "value": ""}] * 2000}})


async def test_the_event_loop_goes_on_while_a_long_mail_is_mapped() -> None:
    turns = 0
    mapping = asyncio.ensure_future(findings.mapped_by(gmail_mapping.map_message, "googlews", _mail("<p>x" * 10_000)))
    while not mapping.done():
        turns += 1
        await asyncio.sleep(0)

    assert turns > 10


@pytest.mark.parametrize("html", ["<p>", "<b>", "&nbsp;", "<p style='width:1px'>", "<td>", "<a b=c>", "<br>"])
def test_the_longest_mail_that_is_mapped_on_the_event_loop_is_short_work(html: str) -> None:
    """Counts calls instead of time: 8 Ki characters are at most some ten thousand steps, each of microseconds."""
    import sys  # the profiler of this thread

    calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    raw = _mail(html * (findings.MAX_ON_LOOP_CHARACTERS * 3 // 4 // len(html) - 50))
    sys.setprofile(count)
    try:
        gmail_mapping.map_message(raw)
    finally:
        sys.setprofile(None)

    assert calls < 150_000
