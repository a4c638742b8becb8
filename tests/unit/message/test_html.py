"""HTML bodies: what is shown stays, what acts goes."""

from html.parser import HTMLParser

import pytest

from services.message.bodies import Part, make_body
from services.message.bounds import Cuts
from services.message.html import cut, sanitize
from services.message.html_text import to_text


@pytest.mark.parametrize(("source", "expected"), [
    ("<p>Hi <b>you</b></p>", "<p>Hi <b>you</b></p>"),
    ("<p>a<p>b", "<p>a</p><p>b</p>"),
    ("<ul><li>a<li>b</ul>", "<ul><li>a</li><li>b</li></ul>"),
    ("<table><tr><td>a<td>b<tr><td>c</table>",
     "<table><tbody><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></tbody></table>"),
    ("<div><table><tr><td>a</div></td><td>b</td></tr></table></div>",
     "<div><table><tbody><tr><td>a</td><td>b</td></tr></tbody></table></div>"),
    ("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d"),
    ("<img src=http://x.example/i.gif alt='a\"b'>", '<img src="http://x.example/i.gif" alt="a&quot;b">'),
    ("<img src='cid:logo@x'>", '<img src="cid:logo@x">'),
    ("<a href='mailto:a@b.example'>m</a>", '<a href="mailto:a@b.example" rel="noopener noreferrer">m</a>'),
    ("<p style='color:red;background:url(x);position:fixed'>x</p>", '<p style="color:red">x</p>'),
    ("<!-- hidden --><!doctype html><?xml?>x", "x"),
    ("<![if !mso]>x<![endif]>", "x"),
    ("<p>&eacute;&#233;&lt;b&gt;</p>", "<p>éé&lt;b&gt;</p>"),
    ("", ""),
])  # fmt: skip
def test_what_is_shown_stays(source: str, expected: str) -> None:
    assert expected == sanitize(source)


ACTING = {
    "script", "style", "iframe", "object", "embed", "form", "base", "meta", "link", "svg", "math", "input", "button",
    "textarea", "select", "template", "video", "audio", "title",
}  # fmt: skip


class Found(HTMLParser):
    """The tags and attributes of a fragment."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


@pytest.mark.parametrize("source", [
    "<script>alert(1)</script>", "<SCRIPT SRC=x></SCRIPT>", "<img src=x onerror=alert(1)>", "<p onclick='alert(1)'>",
    "<a href='javascript:alert(1)'>x</a>", "<a href='jAvA&#x73;cript:alert(1)'>x</a>",
    "<a href='data:text/html,alert'>", "<a href='vbscript:alert'>x</a>",
    "<iframe src='alert'></iframe>", "<object data=alert></object>", "<embed src=alert>", "<form action=alert>",
    "<base href=alert>", "<meta http-equiv=refresh content='0;alert'>", "<link rel=stylesheet href=alert>",
    "<style>*{background:url(alert)}</style>", "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<math><mtext><style><img src=x onerror=alert(1)></style></mtext></math>", "<p style='behavior:url(alert)'>",
    "<p style='background-image:url(alert)'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>", "<scr<script>ipt>alert(1)</script>",
    "<img src='x' / onerror=alert(1)>", "<img/src=x/onerror=alert(1)>", '<img src="x"onerror="alert(1)">',
    "<p title=\"a'><img src=x onerror=alert(1)>\">", "<textarea><img src=x onerror=alert(1)></textarea>",
    "<title><img src=x onerror=alert(1)></title>", "<xmp><img src=x onerror=alert(1)></xmp>",
    "<template><img src=x onerror=alert(1)></template>", "<!--><img src=x onerror=alert(1)>-->",
    "<input onfocus=alert(1) autofocus>", "<video><source onerror=alert(1)></video>",
    "<details ontoggle=alert(1) open>",
])  # fmt: skip
def test_what_acts_goes(source: str) -> None:
    found = Found()
    found.feed(sanitize(source))

    assert set() == found.tags & ACTING
    assert [] == [name for name, _ in found.attributes if name.startswith("on")]
    assert [] == [value for name, value in found.attributes if name == "style" and "alert" in value]
    links = [value for name, value in found.attributes if name in ("href", "src")]
    assert [] == [link for link in links if link.partition(":")[0].lower() in ("javascript", "data", "vbscript")]


@pytest.mark.parametrize(
    "source",
    [
        "<ol style='list-style-type:\"Sign in again\"'><li>x",
        "<li style=\"list-style-type:'Sign in again'\">x",
        "<ol style='list-style-type:\"a\" !important'><li>x",
        "<ol start=2147483647><li>x",
        "<ol start=-2147483647><li>x",
        "<ol><li value=99999999>x",
        "<hr size=99999>",
    ],
)
def test_nothing_is_written_beside_a_list(source: str) -> None:
    """The markers of a list stand outside of its box."""
    found = Found()
    found.feed(sanitize(source))

    assert [] == [name for name, _ in found.attributes if name in ("style", "start", "value", "size")]


def test_the_usual_markers_stay() -> None:
    source = '<ol start="12" style="list-style-type:lower-roman"><li value="14">x</li></ol><font size="+2">y</font>'

    assert source == sanitize(source)


def test_sanitizing_twice_changes_nothing() -> None:
    once = sanitize("<div><p>a<p>b<table><tr><td>c</div>d &amp; <b><i>e</b></i>")

    assert once == sanitize(once)


def test_a_cut_fragment_is_well_formed_and_within_its_bytes() -> None:
    fragment = sanitize("<div>" + "<p title='x'>ä &amp; <b>b</b></p>" * 500)
    for size in range(100, 3000, 97):
        piece = cut(fragment, size)
        assert len(piece.encode()) <= size
        assert piece == sanitize(piece)


@pytest.mark.parametrize(("source", "expected"), [
    ("<p>a</p><p>b<br>c</p>", "a\n\nb\nc"),
    ("<div>a</div><div>b</div>", "a\nb"),
    ("<p>a &nbsp; b &lt;c&gt;</p>", "a   b <c>"),
    ("<ul><li>a</li><li>b</li></ul>", "  • a\n  • b"),
    ("<p>see <a href='https://x.example'>here</a></p><img alt='Logo' src='x'>", "see here"),
    ("<pre>a\n  b</pre>", "a\n  b"),
    ("", ""),
])  # fmt: skip
def test_text_is_made_of_html(source: str, expected: str) -> None:
    assert expected == to_text(sanitize(source))


def test_a_mail_of_several_parts_is_shown_as_a_whole() -> None:
    parts = [Part(html="<p>body</p>"), Part(text="footer <1>")]
    body = make_body(parts, Cuts())

    assert "<p>body</p>\n<div>footer &lt;1&gt;</div>" == body.html
    assert ("body\n\nfooter <1>", True) == (body.text, body.is_text_from_html)


def test_the_text_of_an_alternative_is_taken_as_it_is() -> None:
    body = make_body([Part(text="as\r\ntext  \r\n", html="<p>as html</p>")], Cuts())

    assert ("as\ntext", "<p>as html</p>", False) == (body.text, body.html, body.is_text_from_html)
