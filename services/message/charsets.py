"""Bytes to text: the encoding that a label names, the byte order mark, and bytes that do not fit their label."""

import codecs
import re
from functools import lru_cache

import webencodings

from services.message.fields import clean

# Text codecs of Python that no mail uses; some of them are slow on hostile input.
_NOT_FOR_MAIL = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})
_MAX_LABEL_CHARACTERS = 40
# Python's codec of each encoding whose WHATWG decoder reads more than the codec of the same name.
_CODECS = {
    "big5": "big5hkscs",
    "euc-jp": "euc_jp",
    "euc-kr": "cp949",
    "gbk": "gb18030",
    "iso-2022-jp": "iso2022_jp_ext",
    "iso-8859-8-i": "iso8859_8",
    "macintosh": "mac_roman",
    "shift_jis": "cp932",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac_cyrillic",
}
# WHATWG keeps these out of browsers only because scripts could hide in them; a mail's text is no script
# (RFC 1557, 1843).
_READABLE = {"csiso2022kr": "iso2022_kr", "iso-2022-kr": "iso2022_kr", "hz-gb-2312": "hz"}
_OTHER_NAMES = {"unicode-1-1-utf-7": "utf-7"}
_EAST_ASIAN = frozenset({"big5hkscs", "euc_jp", "cp949", "gb18030", "cp932"})
_STATEFUL = ("iso2022", "utf-7", "hz")
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_MULTIBYTE_UTF8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_BROKEN_UTF8 = re.compile(rb"[\xe0-\xf4][\x80-\xbf]")
_EUC_JP = re.compile(rb"[\x00-\x7f]+|\x8e[\xa1-\xdf]|\x8f[\xa1-\xfe]{2}|(?:[\xa1-\xfe]{2})+|[\x80-\xff]")
_JIS_ESCAPE = re.compile(rb"\x1b(\([BJI]|\$[@B]|\$\(D)")
# Python gives private characters for the bytes that Windows-31J leaves empty.
_EMPTY_IN_WINDOWS_31J = dict.fromkeys(range(0xF8F0, 0xF8F4), "\N{REPLACEMENT CHARACTER}")
_FIRST_WIDE = "\u0800"


def decode_bytes(data: bytes, charset: str) -> str:
    """Decodes a body or an encoded word, whatever its label claims.

    A byte order mark decides first (WHATWG Encoding 6). Valid UTF-8 is UTF-8 whatever the label says, because Gmail
    gives bodies as UTF-8 and hardly any other text is valid by chance; only East Asian text of two-byte sequences is
    read by its label. Then the label counts, by WHATWG's table of labels (4.2). A byte that does not fit becomes U+FFFD
    alone (4.1). Windows-1252 is for text without a usable label, and for text labelled UTF-8 that contains none.

    Args:
        data: The bytes without their transfer encoding.
        charset: The label as the mail has it; it may be empty or nonsense.
    """
    if not charset and data.isascii():  # most header fields
        return clean(data.decode("ascii"))
    for mark, codec in _MARKS:
        if data.startswith(mark):
            return clean(data[len(mark) :].decode(codec, "replace"))
    codec = codec_of(charset)
    if not codec.startswith(_STATEFUL) and data.isascii() and not (b"\0" in data and codec.startswith("utf-")):
        return clean(data.decode("ascii"))
    return clean(_decoded(data, codec))


@lru_cache(maxsize=1024)
def codec_of(label: str) -> str:
    """Returns the name of the Python codec for a charset label; empty when the label names no encoding of text."""
    name = label.strip().strip("'\"").strip().lower()[:_MAX_LABEL_CHARACTERS]
    if name in _READABLE:
        return _READABLE[name]
    if (found := webencodings.lookup(name)) and found.name != "x-user-defined":
        return "" if found.name == "replacement" else _CODECS.get(found.name) or codecs.lookup(found.name).name
    return _python_codec(_OTHER_NAMES.get(name, name))


def _python_codec(name: str) -> str:
    """Returns a codec that WHATWG's table lacks under this name, such as `latin_1`, `cp437` or `utf-32`."""
    if not name.isascii() or name.replace("-", "_") in _NOT_FOR_MAIL:
        return ""
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        return ""
    if not codec._is_text_encoding:  # noqa: SLF001 - Python's own mark of codecs that make bytes of bytes
        return ""
    known = webencodings.lookup(codec.name) or webencodings.lookup(codec.name.replace("_", "-"))
    return codec_of(known.name) if known and known.name != "replacement" else codec.name


def _decoded(data: bytes, codec: str) -> str:
    if codec.startswith(("utf-16", "utf-32")) and (b"\0" in data or data.isascii()):
        return _labelled(data, codec)
    if codec.startswith(_STATEFUL) and data.isascii():
        return _labelled(data, codec)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return _not_utf8(data, codec)
    return text if codec not in _EAST_ASIAN or max(text) >= _FIRST_WIDE else _labelled(data, codec)


def _not_utf8(data: bytes, codec: str) -> str:
    """Decodes bytes that are not valid UTF-8 as a whole."""
    if codec and codec != "utf-8":
        return _labelled(data, codec)
    is_damaged = _MULTIBYTE_UTF8.search(data) or _BROKEN_UTF8.search(data)
    return data.decode("utf-8" if is_damaged else "cp1252", "replace")


def _labelled(data: bytes, codec: str) -> str:
    reader = _READERS.get(codec)
    return reader(data) if reader else data.decode(codec, "replace")


def _euc_jp(data: bytes) -> str:
    """EUC-JP with the rows of NEC and IBM, which Python's codec lacks and Windows-31J has."""
    return "".join(map(_euc_jp_run, _EUC_JP.findall(data)))


def _euc_jp_run(run: bytes) -> str:
    if run[0] > 0xA0 and len(run) > 1:  # noqa: PLR2004 - the first byte of two
        return _jis_x_0208(bytes(byte & 0x7F for byte in run))
    return run.decode("euc_jp", "replace")


def _iso_2022_jp(data: bytes) -> str:
    """ISO-2022-JP as WHATWG decodes it (12.2): with half-width katakana and the rows of NEC and IBM."""
    pieces = _JIS_ESCAPE.split(data)
    made = [pieces[0].decode("ascii", "replace")]
    for escape, run in zip(pieces[1::2], pieces[2::2], strict=True):
        made.append(_jis_run(escape, run))
    return "".join(made)


def _jis_run(escape: bytes, run: bytes) -> str:
    if escape in (b"$@", b"$B"):
        return _jis_x_0208(run)
    if escape == b"(I":
        return bytes(byte | 0x80 if 0x20 < byte < 0x60 else byte for byte in run).decode("cp932", "replace")  # noqa: PLR2004
    if escape == b"$(D":
        return b"".join(b"\x8f" + bytes(byte | 0x80 for byte in pair) for pair in _pairs(run)).decode(
            "euc_jp", "replace"
        )
    return run.decode("ascii", "replace")


def _pairs(run: bytes) -> list[bytes]:
    return [run[place : place + 2] for place in range(0, len(run), 2)]


def _jis_x_0208(run: bytes) -> str:
    """Pairs of seven bits as Windows-31J, whose table of JIS X 0208 has the rows of NEC and IBM too."""
    made = bytearray()
    line_ends = run.replace(b"\r", b"").replace(b"\n", b"")
    for row, cell in zip(line_ends[::2], line_ends[1::2], strict=False):
        if not (0x21 <= row <= 0x7E and 0x21 <= cell <= 0x7E):  # noqa: PLR2004 - the 94 rows and cells
            made += b"\xff"  # no character of Windows-31J
            continue
        made.append((row - 0x21) // 2 + (0x81 if row < 0x5F else 0xC1))  # noqa: PLR2004
        made.append(cell + (0x7E if row % 2 == 0 else 0x1F if cell < 0x60 else 0x20))  # noqa: PLR2004
    return _windows_31j(made)


def _windows_31j(data: bytes | bytearray) -> str:
    return data.decode("cp932", "replace").translate(_EMPTY_IN_WINDOWS_31J)


_READERS = {"cp932": _windows_31j, "euc_jp": _euc_jp, "iso2022_jp_ext": _iso_2022_jp}
