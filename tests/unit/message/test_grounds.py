"""Light text whose ground the sanitizer cannot keep loses its colour, and stays readable (WCAG 2.1, 1.4.3)."""

import pytest

from services.message.colours import can_be_read
from services.message.html import sanitize

LINK = '<a style="color:#fff" href="https://x.example">Pay</a>'
SHEET = "<style>.a{background:#0a0} .x #b{background-color:navy} td{background:#000}</style>"


@pytest.mark.parametrize("source", [
    f"<style>.a{{background:#0a0}}</style><table><tr><td class=a>{LINK}</td></tr></table>",
    f"{SHEET}<div id=b><font color=white>Pay</font></div>", f"{SHEET}<div class='c a'><p style='color:#ffffff'>Pay",
    f"{SHEET}<div class=a><p style='color:hsl(0,0%,100%)'>Pay", f"{SHEET}<div class=a style='color:#fff'>Pay",
    f"{SHEET}<div class=a><p style='color:rgb(250, 250, 250)'>Pay",
    "<style>body{background:#222}</style><body text=white>Pay",
    '<table background="https://x.example/x.png"><tr><td><font color="#ffffff">Pay</table>',
    '<div style="background:url(x) no-repeat"><p style="color:#fff">Pay',
    '<div style="background-image:linear-gradient(red,blue)"><p style="color:white">Pay',
    '<div style="background:lab(20% 0 0)"><p style="color:white">Pay',
    "<style>@media screen{.a{background:#000}}</style><div class=a><p style='color:#eee'>Pay",
])  # fmt: skip
def test_light_text_loses_its_colour_with_its_ground(source: str) -> None:
    made = sanitize(source)

    assert "Pay" in made
    assert "color" not in made


@pytest.mark.parametrize(("source", "ink"), [
    (f"{SHEET}<div class=a><p style='color:#333'>Pay", "color:#333"),  # dark text can be read on the page
    (f"{SHEET}<table bgcolor=black><tr><td class=a><p style='color:#fff'>Pay</table>", "color:#fff"),
    (f"{SHEET}<div class=a style='background:#030'><p style='color:#fff'>Pay", "color:#fff"),
    (f"{SHEET}<div class=a><table bgcolor='#003300'><tr><th><font color='#fff'>Pay</table>", 'color="#fff"'),
    ('<div style="background:#000 url(x)"><p style="color:#fff">Pay', "color:#fff"),
    ('<div style="background:hsl(120,100%,20%)"><p style="color:#fff">Pay', "color:#fff"),
    ('<div style="background:darkslategray"><p style="color:#fff">Pay', "color:#fff"),
    ('<div style="background:rgb(0 128 0 / 90%)"><p style="color:#fff">Pay', "color:#fff"),
    ("<style>.a{background:none} .b{background:transparent}</style><div class='a b'><p style='color:#fff'>Pay",
     "color:#fff"),
    ("<style>@media (prefers-color-scheme:dark){.a{background:#000}}</style><p class=a style='color:#fff'>Pay",
     "color:#fff"),
    # Light text from outside gets a colour that can be read on the page, dark text on a dark ground a light one.
    (f"{SHEET}<table style='color:#fff'><tr><td>Pay</table>", '<td style="color:#000000">Pay'),
    ('<div style="color:#111"><div style="background:#000"><p style="background:url(x)">Pay', "color:#ffffff"),
    ("<style>body{background:#222}</style><body bgcolor=#222222 text=white>Pay", "color:white"),
])  # fmt: skip
def test_text_that_can_be_read_keeps_its_colour(source: str, ink: str) -> None:
    assert ink in sanitize(source)


def test_the_contrast_of_colours() -> None:
    """WCAG 2.1, 1.4.3: at least 3 to 1 for large text; `#949494` is the lightest grey that has it on white."""
    assert can_be_read("949494", "")
    assert not can_be_read("959595", "")
    assert can_be_read("ffffff", "000080")
    assert not can_be_read("", "")
    assert not can_be_read("000000", "?")


def test_a_sheet_with_many_grounds_is_read_in_part() -> None:
    sheet = "".join(f".a{number},.b{number}{{background:#000}}" for number in range(5000))

    assert 'style="color:#fff"' in sanitize(f"<style>{sheet}</style><p class=b4999 style='color:#fff'>x")
