"""The properties of mails in Outlook's formats (MS-OXPROPS), and the text of a body in them."""

from collections.abc import Mapping
from importlib.util import find_spec

from services.message.bodies import Part, make_body
from services.message.bounds import Cuts
from services.message.charsets import decode_bytes
from services.primitives.documents.extracted import HIDDEN_TEXT, MAX_TEXT, RTF_BODY_UNREAD, Extracted
from services.primitives.documents.plain import read_rtf

SUBJECT, BODY, RTF_BODY, HTML_BODY = 0x0037, 0x1000, 0x1009, 0x1013
SENDER_NAME, SENDER_ADDRESS, SENDER_SMTP = 0x0C1A, 0x0C1F, 0x5D01
FILE_NAME, LONG_FILE_NAME, MEDIA_TYPE, DATA = 0x3704, 0x3707, 0x370E, 0x3701
_MAX_BYTES = 4 * MAX_TEXT
_RAW_HEAD = 16  # size, raw size, type, checksum (MS-OXRTFCP 2.1.3.1)
Value = str | bytes
Properties = Mapping[int, Value]
"""The values of texts and of binary properties by their ids."""


def read_body(properties: Properties, charset: str, extracted: Extracted) -> None:
    """Read the first form of the body that there is: text, HTML, RTF.

    Args:
        properties: The properties of the mail.
        charset: The character set of its bytes.
        extracted: Takes the text.
    """
    text, html, rtf = (properties.get(name) for name in (BODY, HTML_BODY, RTF_BODY))
    extracted.answer.is_text_cut |= any(value is not None and len(value) > _MAX_BYTES for value in (text, html))
    if text:
        extracted.lines(text_of(text, charset))
    elif html:
        cuts = Cuts()
        body = make_body([Part(html=text_of(html, charset))], cuts)
        extracted.lines(body.text)
        extracted.answer.is_text_cut |= cuts.is_text_cut
        if body.has_hidden_text:
            extracted.flags.add(HIDDEN_TEXT)
    elif isinstance(rtf, bytes):
        _read_rtf(rtf, extracted)


def text_of(value: Value, charset: str) -> str:
    """Return a property as text, as much of it as is used."""
    whole = value if isinstance(value, str) else decode_bytes(value[:_MAX_BYTES].rstrip(b"\0"), charset)
    return whole[:_MAX_BYTES].replace("\r\n", "\n").replace("\r", "\n").rstrip("\0")


def _read_rtf(compressed: bytes, extracted: Extracted) -> None:
    """Read a body that is compressed RTF. A flag reports one that cannot be read, and the attachments are read."""
    if find_spec("compressed_rtf") is None or find_spec("striprtf") is None:
        extracted.flags.add(RTF_BODY_UNREAD)
        return
    from compressed_rtf import decompress  # noqa: PLC0415 - an extra

    size = int.from_bytes(compressed[4:8], "little")
    if len(compressed) < _RAW_HEAD or size > _MAX_BYTES:
        extracted.flags.add(RTF_BODY_UNREAD)
        return
    try:
        content = decompress(compressed)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the package raises `Exception` itself
        extracted.flags.add(RTF_BODY_UNREAD)
        return
    read_rtf(content, extracted)
