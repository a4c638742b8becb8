"""More ways to hide text, each of which leaves it out of both forms of a body; and looks that hide nothing."""

import pytest

from services.message.html import make_safe
from services.message.html_text import to_text
from services.message.ids import message_ids


@pytest.mark.parametrize("hidden", [
    '<p style="filter:opacity(0)">Ghost</p>', '<p style="filter: alpha(opacity=0)">Ghost</p>',  # Filter Effects 1, 7.6
    '<p style="opacity:.01">Ghost</p>', '<p style="opacity:0%">Ghost</p>',
    '<span style="font:0/0 a">Ghost</span>', '<span style="font:bold 1px/1px Arial">Ghost</span>',  # CSS Fonts 4, 2.7
    '<p style="position:relative;left:-9999px">Ghost</p>', '<p style="position:absolute;left:9999px">Ghost</p>',
    '<p style="margin:0 0 0 -9999px">Ghost</p>', '<p style="transform:translateX(-9999px)">Ghost</p>',
    '<p style="transform:scale(0.0)">Ghost</p>', '<p style="transform:rotate(9deg) translate(0, -500em)">Ghost</p>',
    '<p style="display:\\6e one">Ghost</p>', '<p style="d\\isplay:none">Ghost</p>',  # CSS Syntax 3, 4.3.7
    '<p style="-webkit-text-fill-color:transparent">Ghost</p>',
    '<p style="background:#fff"><font color="#FEFEFE">Ghost</font></p>',
    '<p style="background:white;color:hsl(0 0% 100%)">Ghost</p>', '<p style="color:hsla(0,0%,0%,0)">Ghost</p>',
    '<p style="background:hsl(120, 100%, 25%);color:#008000">Ghost</p>',
    "<style>body .p{display:none}</style><p class=p>Ghost</p>", "<dialog>Ghost</dialog>",  # HTML 4.11.4
    "<style>p:nth-child(3){display:none}</style><p>Ghost</p>",  # Selectors 4, 14.3
    "<style>p:nth-last-of-type(2){display:none}</style><p>Ghost</p>",
    "<style>.o{& p{color:red;&:only-child{display:none}}}</style><div class=o><p>Ghost</p></div>",  # CSS Nesting 1
    '<p style="background:#fff;color:color(srgb 1 1 1)">Ghost</p>', '<p style="background:Canvas;color:#fff">Ghost</p>',
    '<p style="background:currentColor">Ghost</p>', '<p style="position:fixed;bottom:-200px">Ghost</p>',
])  # fmt: skip
def test_hidden_text_is_in_neither_form(hidden: str) -> None:
    safe = make_safe(f"<p>Before</p>{hidden}<p>Hi</p>")

    assert safe.has_hidden_text
    assert "Ghost" not in safe.html
    assert "Before\n\nHi" == to_text(safe.html)


@pytest.mark.parametrize("shown", [
    '<p style="filter:opacity(50%)">Hi</p>', '<p style="font:14px/0 Arial">Hi</p>', '<p style="font:inherit">Hi</p>',
    '<p style="margin:0 auto">Hi</p>', '<p style="transform:scale(0.5)">Hi</p>', "<dialog open>Hi</dialog>",
    '<p style="transform:translate(-50%)">Hi</p>', '<p style="position:absolute;left:500px">Hi</p>',
    '<p style="background:#fff;color:#f0f0f0">Hi</p>', '<p style="font:bold 12pt/1.2 \'1px\'">Hi</p>',
    "<details><summary>Hi</summary></details>", "<noscript>Hi</noscript>",
    "<style>p:nth-child(2),p:nth-last-child(n+2),p:foo{display:none}</style><p>Hi</p>",
    "<style>.o{p{display:none}}</style><p>Hi</p>", '<p style="background:currentColor"><a href="https://x">Hi</a></p>',
    '<p style="background:#000;color:color(srgb 1 1 1)">Hi</p>', '<p style="position:fixed;bottom:9px">Hi</p>',
    '<table><tr style="display:none"><td><tr><td>Hi</table>',  # HTML 13.2.6.4.13: a row ends the one before it
])  # fmt: skip
def test_text_that_can_be_seen_stays(shown: str) -> None:
    safe = make_safe(shown)

    assert ("Hi", False) == (to_text(safe.html), safe.has_hidden_text)


def test_blanks_of_a_quoted_id_stay() -> None:
    """RFC 5322 3.6.4 and 4.5.4: a quoted string is a left side of old ids; folding leaves blanks elsewhere."""
    assert ['<"a b"@c.example>', "<de@f.example>"] == list(message_ids('<"a b"@c.example> <d e@f.example>'))
