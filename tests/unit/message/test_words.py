"""Encoded words and charsets."""

import pytest

from services.message.charsets import decode_bytes
from services.message.fields import clean
from services.message.words import base64url, decode_words


@pytest.mark.parametrize(("value", "expected"), [
    ("plain", "plain"),
    ("=?utf-8?q?caf=C3=A9_au_lait?=", "café au lait"),
    ("=?UTF-8?B?Y2Fmw6k=?= now", "café now"),
    ("=?utf-8?b?Y2Fmw6k?=", "café"),
    ("=?iso-8859-1*de?q?J=F6rg?=", "Jörg"),
    ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
    ("=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"),
    ("=?utf-8?q?a?= b", "a b"),
    ("=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
    ("=?nonsense?q?caf=E9?=", "café"),
    ("=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
    ("=?utf-8?q?open", "=?utf-8?q?open"),
    ("=?iso-2022-jp?b?GyRCMnE1RBsoQg==?=", "会議"),
])  # fmt: skip
def test_words_are_decoded_and_the_rest_stays(value: str, expected: str) -> None:
    assert expected == decode_words(value)


@pytest.mark.parametrize(("data", "charset", "expected"), [
    ("café".encode(), "utf-8", "café"),
    ("café".encode(), "", "café"),
    ("café".encode(), "iso-8859-1", "café"),
    ("café".encode("latin-1"), "iso-8859-1", "café"),
    ("café".encode("latin-1"), "utf-8", "café"),
    ("café \u2013 €".encode("cp1252"), "us-ascii", "café \u2013 €"),
    ("会議".encode("iso-2022-jp"), "iso-2022-jp", "会議"),
    ("会議".encode("shift_jis"), "shift_jis", "会議"),
    ("会議".encode("shift_jis"), "x-sjis", "会議"),
    ("привет".encode("koi8-r"), "koi8-r", "привет"),
    ("hi".encode("utf-16"), "utf-16", "hi"),
    (b"abc", "unknown-8bit", "abc"),
    (b"abc", "zlib", "abc"),
    (b"abc", "idna", "abc"),
    (b"abc", "\xff" * 100, "abc"),
    (b"\x81\x8d", "", "\N{REPLACEMENT CHARACTER}" * 2),
    (b"a\0b", "utf-8", "a\N{REPLACEMENT CHARACTER}b"),
])  # fmt: skip
def test_bytes_become_text_whatever_their_charset_claims(data: bytes, charset: str, expected: str) -> None:
    assert expected == decode_bytes(data, charset)


@pytest.mark.parametrize(("data", "expected"), [
    ("aGVsbG8", b"hello"), ("aGVsbG8=", b"hello"), ("-_-_", b"\xfb\xff\xbf"), ("+/+/", b"\xfb\xff\xbf"),
    ("aGVs\r\nbG8=", b"hello"), ("", b""), ("a", b""), ("äöü", b""),
])  # fmt: skip
def test_base64_of_either_alphabet_is_decoded(data: str, expected: bytes) -> None:
    assert expected == base64url(data, 1000)


def test_base64_is_decoded_no_further_than_asked() -> None:
    assert b"hell" == base64url("aGVsbG8gd29ybGQ=", 4)


def test_half_surrogates_are_replaced_and_pairs_are_joined() -> None:
    assert "a\N{REPLACEMENT CHARACTER}b\N{GRINNING FACE}" == clean("a\ud800b\ud83d\ude00")
