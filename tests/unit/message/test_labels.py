"""Every label of WHATWG's table names its encoding (Encoding 4.2), in any case, in quotes and with blanks around it."""

import codecs

import pytest
import webencodings

from services.message.charsets import codec_of

REPLACED = {"hz-gb-2312", "iso-2022-kr", "csiso2022kr"}  # a mail's text may be in them
LABELS = sorted(
    set(webencodings.LABELS) - REPLACED - {"x-user-defined", "replacement", "iso-2022-cn", "iso-2022-cn-ext"}
)


@pytest.mark.parametrize("label", LABELS)
def test_a_label_names_the_encoding_of_the_table(label: str) -> None:
    named = webencodings.lookup(label)

    assert named is not None
    assert codec_of(named.name) == codec_of(label) == codec_of(f' "{label.upper()}" ') != ""
    assert codecs.lookup(codec_of(label))


@pytest.mark.parametrize(("label", "data", "expected"), [
    ("latin1", b"\x80", "€"), ("us-ascii", b"\x93", "\u201c"), ("iso-8859-9", b"\x80", "€"), ("l5", b"\x80", "€"),
    ("tis-620", b"\x80", "€"), ("ks_c_5601-1987", b"\x81\x41", "갂"), ("euc-kr", b"\x81\x41", "갂"),
    ("gb2312", b"\xe9\x46", "镕"), ("x-sjis", b"\x87\x40", "①"), ("ms_kanji", b"\xed\x40", "纊"),
    ("big5", b"\x87\x40", "䏰"), ("logical", b"\xe0", "א"), ("koi", b"\xc2", "\u0431"), ("x-mac-roman", b"\x8a", "ä"),
    ("unicode-1-1-utf-8", "ä".encode(), "ä"), ("dos-874", b"\x80", "€"),
])  # fmt: skip
def test_labels_mean_what_senders_write(label: str, data: bytes, expected: str) -> None:
    assert expected == data.decode(codec_of(label))
