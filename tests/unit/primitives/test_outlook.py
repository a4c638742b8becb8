"""Outlook's .msg and winmail.dat: bodies, facts and attachments; damaged ones fail as a whole or by a part, by name."""

import base64
import random
import struct
from collections.abc import Callable

import pytest

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.primitives.documents.extract import extract
from services.primitives.failure import ContentError
from tests.unit.primitives import samples
from tests.unit.primitives.outlook_samples import (
    RTF,
    attribute,
    file_attributes,
    message,
    msg,
    nested,
    prop,
    properties,
    tnef,
)


def read(content: bytes, name: str = "") -> pb2.ExtractDocumentResponse:
    return extract(pb2.ExtractDocumentRequest(content=content, file_name=name))


def test_a_message_of_outlook_gives_its_text_its_facts_and_its_files() -> None:
    found = read(msg(body="Thirty euros.\r\nBye.", offer_docx=samples.word(samples.paragraph("Inside."))))

    assert ("msg", "Thirty euros.\nBye.\nInside.\n") == (found.format, found.text)
    assert {"subject": "Offer", "from": "ada@example.com"} == {
        name: value for name, value in found.metadata.items() if name in ("subject", "from")
    }
    assert [("offer.docx", "docx", "")] == [(part.name, part.format, part.fault) for part in found.parts]
    assert "Inside.\n" == found.text[found.parts[0].start : found.parts[0].end]


def test_a_message_with_html_alone_gives_what_a_reader_is_shown() -> None:
    made = message(
        body="", BODY_HTML="<p>Thirty é</p><p style='display:none'>hidden</p>".encode(), INTERNET_CODEPAGE=65001
    )
    found = read(bytes(made.to_bytes()))

    assert ("Thirty é\n", ["hidden_text"]) == (found.text, list(found.flags))


def test_messages_in_messages_are_opened_to_a_depth() -> None:
    found = read(nested(5))

    assert "msg" == found.format
    assert ["", "", "", "nesting"] == [part.fault for part in found.parts]
    assert ["Text 4.", "Text 3.", "Text 2.", "Text 1."] == found.text.split("\n")[:4]
    assert "Level 3.msg" == found.parts[0].name


def test_a_winmail_gives_its_rtf_body_its_facts_and_its_files() -> None:
    found = read(tnef(file_attributes("OFFER~1.DOC", samples.word(samples.paragraph("Inside.")), "..\\..\\offer.docx")))

    assert ("tnef", "The body is RTF.\nInside.\n") == (
        found.format,
        "\n".join(filter(None, found.text.split("\n"))) + "\n",
    )
    assert ("Offer", "Ada") == (found.metadata["subject"], found.metadata["from_name"])
    assert [("offer.docx", "docx", "")] == [(part.name, part.format, part.fault) for part in found.parts]


def test_a_winmail_with_a_body_of_text_and_files_in_a_mail_are_read() -> None:
    content = b"\x78\x9f\x3e\x22\x01\x00" + attribute(1, 0x0002800C, "Grüße".encode("cp1252") + b"\0")
    content += file_attributes("a.txt", b"One.") + file_attributes("b.txt", b"Two.")
    head = b"MIME-Version: 1.0\nSubject: x\nContent-Type: application/ms-tnef; name=winmail.dat\n"
    mail = head + b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(content)
    found, within = read(content), read(mail)

    assert "Grüße\nOne.\nTwo.\n" == found.text
    assert ["tnef", "txt", "txt"] == [part.format for part in within.parts]
    assert "Two." in within.text


@pytest.mark.parametrize(
    "rtf", [b"", b"\0" * 15, b"\xff" * 16, struct.pack("<II4sI", 30, 1 << 31, b"LZFu", 0) + b"\0" * 40]
)
def test_a_body_that_cannot_be_read_is_a_flag_and_the_files_are_read(rtf: bytes) -> None:
    body = properties(prop(0x0102, 0x1009, rtf or b"x"))
    content = b"\x78\x9f\x3e\x22\x01\x00" + attribute(1, 0x00069003, body) + file_attributes("a.txt", b"One.")
    found = read(content)

    assert (["rtf_body_unread"], "One.\n") == (list(found.flags), found.text)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a length beyond the end": lambda: tnef() + struct.pack("<BII", 2, 0x0006800F, 0xFFFFFFFF) + b"x",
    "half an attribute": lambda: tnef() + b"\2\2",
    "four thousand million properties": lambda: (
        b"\x78\x9f\x3e\x22\x01\x00" + attribute(1, 0x00069003, struct.pack("<I", 0xFFFFFFFF))
    ),
    "a thousand million values": lambda: (
        b"\x78\x9f\x3e\x22\x01\x00" + attribute(1, 0x00069003, struct.pack("<IHHI", 1, 0x101E, 0x3707, 1_000_000_000))
    ),
    "a type that is none": lambda: (
        b"\x78\x9f\x3e\x22\x01\x00" + attribute(1, 0x00069003, struct.pack("<IHH", 1, 0x7777, 1))
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_damaged_winmail_is_one_clear_failure(name: str) -> None:
    with pytest.raises(ContentError, match=r"^(malformed|bomb)$"):
        read(HOSTILE[name]())


def test_too_many_files_are_cut_and_said_to_be() -> None:
    found = read(tnef(*(file_attributes(f"{number}.txt", b"x") for number in range(150))))

    assert found.is_text_cut
    assert 100 == len(found.parts)


@pytest.mark.parametrize("make", [lambda: tnef(file_attributes("a.txt", b"One.")), lambda: msg(a_txt=b"One.")])
def test_changed_bytes_end_in_an_answer_or_in_a_failure(make: Callable[[], bytes]) -> None:
    chance, whole = random.Random(7), make()
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(chance.randrange(1, 8)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        if chance.random() < 0.3:
            del content[chance.randrange(len(content)) :]
        failure = failure_of(bytes(content))
        assert failure is None or isinstance(failure, ContentError | RecursionError) or _is_of_a_reader(failure)


def failure_of(content: bytes) -> Exception | None:
    """Return the failure of reading; the process answers "malformed" for those of others' readers."""
    try:
        read(content, "winmail.dat")
    except Exception as exc:  # noqa: BLE001 - readers of others' formats raise anything
        return exc
    return None


def _is_of_a_reader(exc: BaseException) -> bool:
    """Tell whether an exception comes out of olefile or oxmsg, and not out of code of ours."""
    place = exc.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place is not None and any(name in place.tb_frame.f_code.co_filename for name in ("olefile", "oxmsg"))


def test_the_sample_of_rtf_is_read_as_rtf_too() -> None:
    assert "The body is RTF.\n" == read(RTF).text
