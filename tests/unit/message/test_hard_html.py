"""HTML of hard mails: links, grounds, hidden text and lists, each by the sentence of its standard."""

import pytest

from services.message.html import make_safe, sanitize
from services.message.html_text import to_text
from tests.unit.message.test_hard_mails import of_graph


@pytest.mark.parametrize(("source", "expected"), [  # HTML 13.2.5.73, named character reference state in an attribute
    ("?a=1&currency=EUR&section=2", "?a=1&amp;currency=EUR&amp;section=2"),
    ("?a=1&copy=2&lt=3&notit;", "?a=1&amp;copy=2&amp;lt=3&amp;notit;"),
    ("?a&amp;b&amp=c&#38;d&#x26;e", "?a&amp;b&amp;amp=c&amp;d&amp;e"),
    ("?q=&copy;&eacute", "?q=©é"),
])  # fmt: skip
def test_links_keep_their_queries(source: str, expected: str) -> None:
    assert f'href="https://x.example/{expected}"' in sanitize(f'<a href="https://x.example/{source}">x</a>')


@pytest.mark.parametrize(("source", "ground"), [
    ('<td style="background:#0a0"><a style="color:#fff" href="https://x.example">Pay</a></td>',
     "background-color:#0a0"),
    ('<table><tr><td style="background:#0a0 url(x)">x</td></tr></table>', "background-color:#0a0"),
    ('<body style="background:green" text="#ffffff">x</body>', "color:#ffffff;background-color:green"),
    ('<body bgcolor="#123456">x</body>', "background-color:#123456"),
])  # fmt: skip
def test_text_keeps_its_ground(source: str, ground: str) -> None:
    """CSS Backgrounds 3.10: a shorthand of a colour alone sets `background-color`."""
    assert f'style="{ground}"' in of_graph(source).html


@pytest.mark.parametrize("hidden", [
    '<div style="display:none">Ghost</div>', '<div style="visibility:hidden">Ghost</div>', "<p hidden>Ghost</p>",
    '<div style="opacity:0">Ghost</div>', '<div style="max-height:0px;overflow:hidden">Ghost</div>',
    '<div style="mso-hide:all">Ghost</div>', '<div style="font-size:0">Ghost</div>',
    '<div style="background:#fff"><i style="color:#ffffff">Ghost</i></div>', '<i style="color:transparent">Ghost</i>',
    '<div style="position:absolute;left:-9999px">Ghost</div>', '<div style="text-indent:-9999px">Ghost</div>',
    "<style>.p{display:none!important}</style><p class='a p'>Ghost</p>",
    '<table bgcolor=white><td><font color="#fff">Ghost',
    '<div style="DISPLAY : NONE ! important"><p style="display:block">Ghost</p></div>',
    '<div style="display:n/**/one;display:none">Ghost</div>',
])  # fmt: skip
def test_text_that_no_reader_sees_is_left_out_and_flagged(hidden: str) -> None:
    """CSS 2.2 9.2.4, 11.1 and 11.2, CSS Color 4 3.2, HTML 6.1."""
    body = of_graph(f"<p>Before</p>{hidden}</table><p>Hi</p>")

    assert body.has_hidden_text
    assert "Ghost" not in body.text + body.html
    assert "Before" in body.text


@pytest.mark.parametrize("shown", [
    '<div style="visibility:hidden"><b style="visibility:visible">Hi</b></div>',
    '<td style="font-size:0"><p style="font-size:14px">Hi',
    '<a href="https://x.example" style="mso-hide:all;display:inline-block">Hi</a>', '<p style="color:#fff">Hi</p>',
    "<style>@media (max-width:600px){.m{display:none}}</style><p class=m>Hi</p>", '<p style="opacity:0.9">Hi</p>',
    '<p style="overflow:hidden;max-height:100px">Hi</p>',
    '<div bgcolor="#fff" style="background:url(x)"><p style="color:#fff">Hi',
    '<td style="font-size:0">&nbsp;</td>Hi',
])  # fmt: skip
def test_text_that_readers_see_stays(shown: str) -> None:
    body = of_graph(shown)

    assert ("Hi", False) == (body.text.strip(), body.has_hidden_text)


def test_links_of_picture_maps_and_of_a_base_are_kept() -> None:
    """HTML 4.8.14 (`area`) and 4.2.3 (`base`)."""
    assert '<area href="https://x.example/a" shape="rect">' in sanitize(
        '<map name=m><area href="https://x.example/a" shape=rect></map>'
    )
    assert 'href="https://x.example/b?c=1"' in sanitize('<base href="https://x.example/a/"><a href="../b?c=1">x</a>')


@pytest.mark.parametrize(("source", "expected"), [
    ('<ol start="5"><li>a</li><li value=9>b</li><li>c</li></ol>', "  5. a\n  9. b\n  10. c"),  # HTML 4.4.5 and 4.4.8
    ("<ol reversed><li>a<ul><li>x</ul><li>b<li>c</ol>", "  3. a\n    • x\n  2. b\n  1. c"),
    ('<ol reversed start=5><li>a<li value="9">b<li>c</ol>', "  5. a\n  9. b\n  8. c"),
    ("<ol><li>a<ol reversed><li>b<li>c</ol></ol><ol REVERSED><li>d</ol>", "  1. a\n    2. b\n    1. c\n  1. d"),
    ("<ol type=a start=26><li>x<li>y</ol>", "  z. x\n  aa. y"),
    ("<ol type=A start=0><li>x<li>y</ol>", "  0. x\n  A. y"),
    ("<ol type=i start=1994><li>x</ol><ol type=I start=4000><li>y</ol>", "  mcmxciv. x\n  4000. y"),
    ("<ol type=disc><li>x</ol>", "  1. x"),
    ("<details><summary>S</summary>D</details>", "S\nD"),  # HTML 15.3.3
    ('<span style="display:block">a</span><span style="display: table">b</span>c', "a\nb\nc"),  # CSS 2.2 9.2.1
    ('<p style="white-space:pre-wrap">a\n  b</p>', "a\n  b"),
    ("-- <br>Kim", "-- \nKim"),
])  # fmt: skip
def test_text_has_the_numbers_and_lines_of_the_html(source: str, expected: str) -> None:
    assert expected == to_text(sanitize(source))


@pytest.mark.parametrize("style", [
    "margin-left:-200px", "margin:0 -1px", "width:99999px", "width:1e9px", "height:200vh", "font-size:900px",
    "width:200%",
    "padding:9999px", "line-height:900", "text-indent:-20px", "border:5000px solid red", "letter-spacing:-99px",
])  # fmt: skip
def test_nothing_moves_over_its_surroundings(style: str) -> None:
    """CSS 2.2 8.3: negative margins; sizes that no mail needs."""
    assert "<p>x</p>" == sanitize(f'<p style="{style}">x</p>')
    assert '<img height="5">' == sanitize('<img width=99999 height=5><img width="300%" height=99999>').replace(
        "<img>", ""
    )


def test_hidden_text_is_told_by_the_sanitizer() -> None:
    assert make_safe("<p hidden>x</p>y").has_hidden_text
