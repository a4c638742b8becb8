"""Hostile documents: each is one clear failure in bounded memory and time, and the next document is read."""

import io
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from encodings.aliases import aliases

import pytest
from webencodings.labels import LABELS

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.primitives.documents.extract import extract
from services.primitives.failure import ContentError
from services.primitives.mail.parse import parse_mail
from services.primitives.sandbox.confine import Confinement
from services.primitives.sandbox.pool import Sandbox, SandboxLimits
from tests.unit.primitives import outlook_samples, samples
from tests.unit.primitives.samples import paragraph

MIB = 1024 * 1024
LIMITS = SandboxLimits(processes=1, seconds=60, confinement=Confinement(1024 * MIB, 10.0, 65534))


WHOLE: Mapping[str, Callable[[], bytes]] = {
    "a.docx": lambda: samples.word(paragraph("x")),
    "a.xlsx": lambda: samples.workbook("<row><c><v>1</v></c></row>"),
    "a.pptx": samples.presentation,
    "a.odt": samples.opendocument,
    "a.pdf": lambda: samples.pdf("hello"),
    "form.pdf": lambda: samples.pdf("hello", fields={"name": "value"}, script=True),
    "locked.pdf": lambda: samples.pdf("hello", password="x"),
    "a.msg": lambda: outlook_samples.msg(body="hello", a_txt=b"One."),
    "winmail.dat": lambda: outlook_samples.tnef(outlook_samples.file_attributes("a.txt", b"One.")),
    "a.rtf": lambda: rb"{\rtf1\ansi\ansicpg932 hello \'e4}",
    "a.csv": lambda: b"a,b\n1,2",
    "a.html": lambda: b"<html><body><p style='color: red'>x",
}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.open(LIMITS) as opened:
        yield opened


async def read(sandbox: Sandbox, content: bytes, name: str = "") -> pb2.ExtractDocumentResponse:
    request = pb2.ExtractDocumentRequest(content=content, file_name=name)
    answer = await sandbox.run("document", request.SerializeToString(), is_alone=True)
    return pb2.ExtractDocumentResponse.FromString(answer)


def bomb() -> bytes:
    return samples.word(paragraph("x"), **{"word__bomb.xml": b"\0" * 150 * MIB})


def lying_bomb() -> bytes:
    """The directory declares a small member, which inflates to 300 MiB."""
    made = bytearray(samples.zipped({"word/document.xml": b" " * 300 * MIB}))
    central = made.rindex(b"PK\x01\x02")
    for place in (central + 24, 22):
        made[place : place + 4] = (1000).to_bytes(4, "little")
    return bytes(made)


def matryoshka(depth: int) -> bytes:
    content = b"inside"
    for _ in range(depth):
        content = samples.zipped({"inner.zip": content})
    return content


def many_members() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number in range(2_100):
            archive.writestr(f"{number}.txt", b"")
    return made.getvalue()


def laughs() -> str:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE x [<!ENTITY l0 "lol">{entities}]><x>&l9;</x>'


def large_stream() -> bytes:
    """A directory entry declares a stream of 2 GiB (MS-CFB 2.6.1)."""
    made = bytearray(outlook_samples.msg(a_bin=b"x" * MIB))
    entry = made.index("__substg1.0_37010102".encode("utf-16-le"))
    made[entry + 120 : entry + 124] = (2**31 - 1).to_bytes(4, "little")
    return bytes(made)


def cut_message() -> bytes:
    """The file ends within its directory."""
    whole = outlook_samples.msg(a_txt=b"One.")
    return whole[: whole.rindex("__properties_version1.0".encode("utf-16-le")) + 60]


def many_values() -> bytes:
    values = (1_000_000_000).to_bytes(4, "little")
    head = (1).to_bytes(4, "little") + (0x101E).to_bytes(2, "little") + (0x3707).to_bytes(2, "little")
    return b"\x78\x9f\x3e\x22\x01\x00" + outlook_samples.attribute(1, 0x00069003, head + values)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a member of zeros": (bomb, "bomb"),
    "a member that lies about its size": (lying_bomb, "bomb|malformed"),
    "2,100 members": (many_members, "bomb"),
    "entities of entities": (lambda: samples.zipped({"word/document.xml": laughs()}), "malformed"),
    "elements in elements": (lambda: samples.word("<w:p>" * 100_000), "nesting"),
    "a cut archive": (lambda: samples.word(paragraph("x"))[:-30], "malformed"),
    "a message with a stream of 2 GiB": (large_stream, "bomb"),
    "a message that ends within its directory": (cut_message, "malformed"),
    "messages in 200 messages": (lambda: outlook_samples.nested(200), "nesting"),
    "a winmail with a length beyond its end": (lambda: outlook_samples.tnef()[:-9] + b"\xff" * 12, "malformed"),
    "a winmail with a thousand million values": (many_values, "bomb"),
    "a PDF of noise": (lambda: b"%PDF-1.7\n" + bytes(range(256)) * 1000, "malformed"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_document_is_one_clear_failure_and_the_next_one_is_read(sandbox: Sandbox, name: str) -> None:
    make, cause = HOSTILE[name]

    with pytest.raises(ContentError, match=f"^({cause})$"):
        await read(sandbox, make())

    assert (await read(sandbox, b"plain")).text == "plain\n"


async def test_archives_in_archives_are_opened_to_a_depth_and_mails_in_mails_too(sandbox: Sandbox) -> None:
    answer = await read(sandbox, matryoshka(10))
    head = b"Subject: x\nContent-Type: message/rfc822\n\n"
    mails = await read(sandbox, b"MIME-Version: 1.0\n" + head * 10 + b"Subject: last\n\ndeep")

    assert [part.fault for part in answer.parts] == ["", "", "", "nesting"]
    assert [part.fault for part in mails.parts][-1] == "nesting"


@pytest.mark.parametrize("name", sorted(WHOLE))
async def test_a_document_reads_in_a_process_that_opens_no_file_as_it_does_outside(sandbox: Sandbox, name: str) -> None:
    request = pb2.ExtractDocumentRequest(content=WHOLE[name](), file_name=name)

    answer = pb2.ExtractDocumentResponse.FromString(
        await sandbox.run("document", request.SerializeToString(), is_alone=True)
    )

    assert answer == extract(request)
    assert answer.text or answer.flags


async def test_a_mail_in_each_character_set_reads_in_a_process_as_it_does_outside(sandbox: Sandbox) -> None:
    for label in sorted({*LABELS, *aliases.values(), "none-such"}):
        mail = f"Content-Type: text/plain; charset={label}\nSubject: =?{label}?q?=E4=F6=80?=\n\n".encode() + b"\xe4\xf6"

        assert await sandbox.run("mail", mail) == parse_mail(mail).SerializeToString()


async def test_long_text_is_cut_and_said_to_be(sandbox: Sandbox) -> None:
    answer = await read(sandbox, samples.word(paragraph("word " * 20) * 20_000))

    assert len(answer.text) == MIB
    assert answer.is_text_cut


async def test_a_reader_that_aborts_is_one_failed_document(sandbox: Sandbox) -> None:
    """The memory of the process is too small for what the document needs, in the reader's own code."""
    small = SandboxLimits(processes=1, seconds=60, confinement=Confinement(200 * MIB, 10.0, 65534))
    async with Sandbox.open(small) as narrow:
        with pytest.raises(ContentError, match=r"memory|crashed|malformed"):
            await read(narrow, b"a,b\n" * 30 * MIB, "big.csv")
    assert (await read(sandbox, b"plain")).text == "plain\n"
