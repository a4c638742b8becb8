"""Names and media types that strangers chose."""

import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.meshkit.file_names import safe_name
from services.processor.messages.reading.names import DEFAULT_TYPE, disposition, media_type


@pytest.mark.parametrize(
    ("given_name", "safe"),
    [
        ("offer.pdf", "offer.pdf"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\boot.ini", "C__boot.ini"),
        ("Rechnung \u202egpj.exe", "Rechnung gpj.exe"),
        ("a\r\nSet-Cookie: x", "aSet-Cookie_ x"),
        ("CON.txt", "_CON.txt"),
        ("...", "attachment"),
        ("", "attachment"),
        ("Ünïcode 文書.docx", "Ünïcode 文書.docx"),
        ("x" * 300 + ".pdf", "x" * 146 + ".pdf"),
    ],
)
def test_a_name_has_no_path_and_deceives_no_reader(given_name: str, safe: str) -> None:
    assert safe == safe_name(given_name)


@given(st.text(max_size=400))
def test_any_name_is_safe_and_survives_the_header(name: str) -> None:
    safe = safe_name(name)

    assert 0 < len(safe) <= 151
    assert not any(unicodedata.category(character)[0] == "C" or character in '/\\:*?"<>|' for character in safe)
    assert disposition(safe).isascii()
    assert safe == unquote(disposition(safe).partition("filename*=UTF-8''")[2])


@pytest.mark.parametrize(
    ("given_type", "safe"),
    [
        ("application/pdf", "application/pdf"),
        ("Text/HTML; charset=utf-8", "text/html"),
        ("image/svg+xml", "image/svg+xml"),
        ("text/html\r\nx: y", DEFAULT_TYPE),
        ("pdf", DEFAULT_TYPE),
        ("", DEFAULT_TYPE),
    ],
)
def test_a_media_type_is_one_or_the_default(given_type: str, safe: str) -> None:
    assert safe == media_type(given_type)
