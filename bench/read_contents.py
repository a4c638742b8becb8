"""The cost of a mail and of a document, beside the plain parser and the bare library."""

import email
import email.policy
import importlib
import time
from collections.abc import Awaitable, Callable, Sequence
from email.message import EmailMessage
from statistics import median

import pypdfium2

from bench import measure
from bench.measure import Figure, Options
from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.primitives.documents.extract import extract
from services.primitives.mail.mime_source import MimeSource
from services.primitives.mail.parse import parse_mail
from services.primitives.sandbox.confine import Confinement
from services.primitives.sandbox.pool import Sandbox, SandboxLimits
from tests.unit.message.replies import REPLIES
from tests.unit.primitives import samples

LIMITS = SandboxLimits(1, 50, Confinement(1024 * 1024 * 1024, 50.0, 65534))
ATTACHED = bytes(range(256)) * 800
PARAGRAPHS = 2000
METHOD = """Mails: the replies of the splitter's tests as MIME, without an attachment and with one of 200 KB. The plain
parser is Python's `email` with its default policy: it reads addresses, date, subject, text, HTML and the attachment.
`mail-parser`, measured where it is installed, reads the same by the older policy. Neither splits replies, sanitizes
HTML or makes text of it. `The MIME alone` is the tree of parts with its header fields and decoded texts: a compiled
parser could replace that part, and no more. Documents: a docx of 2,000 paragraphs and a PDF of one page. `Alone` runs
in the program, in processor time; `without rights` is by the clock and includes the pipe, and for documents the start
of their process."""


async def program(options: Options) -> Sequence[Figure]:
    """Measure mails, then documents."""
    replies = REPLIES[: 20 if options.is_quick else len(REPLIES)]
    small = [_mail(reply.text or "", reply.html or "", b"") for reply in replies]
    large = [_mail(reply.text or "", reply.html or "", ATTACHED) for reply in replies]
    rounds = 2 if options.is_quick else 5
    async with Sandbox.open(LIMITS) as sandbox:
        return [
            *await _mails(sandbox, "a mail", small),
            *await _mails(sandbox, "a mail with an attachment", large),
            *await _documents(sandbox, rounds),
        ]


async def _mails(sandbox: Sandbox, name: str, mails: Sequence[bytes]) -> list[Figure]:
    await sandbox.run("mail", mails[0])
    ours = median(_seconds(parse_mail, mail) for mail in mails)
    plain = median(_seconds(_plain, mail) for mail in mails)
    confined = median([await _waited(lambda mail=mail: sandbox.run("mail", mail)) for mail in mails])  # type: ignore[misc]
    bare = median(_seconds(lambda data: MimeSource(data).payload(), mail) for mail in mails)
    other = _mail_parser()
    others = [] if other is None else [median(_seconds(other, mail) for mail in mails)]
    return [
        Figure(f"{name}, alone, median", ours * 1000, "ms", note=f"{len(mails)} mails of {len(mails[0]) >> 10} KiB"),
        Figure(f"{name}, the MIME alone, median", bare * 1000, "ms"),
        Figure(f"{name}, plain parser, median", plain * 1000, "ms"),
        Figure(f"times the plain parser, {name}", plain / ours, "ratio", ">= 5"),
        *(Figure(f"{name}, mail-parser, median", seconds * 1000, "ms") for seconds in others),
        *(Figure(f"times mail-parser, {name}", seconds / ours, "ratio", ">= 5") for seconds in others),
        Figure(f"{name}, without rights, median", confined * 1000, "ms"),
    ]


async def _documents(sandbox: Sandbox, rounds: int) -> list[Figure]:
    word = samples.word("".join(samples.paragraph("Thirty euros and a word.") for _ in range(PARAGRAPHS)))
    pdf = samples.pdf("Page one")
    figures = []
    for name, content in (("docx", word), ("pdf", pdf)):
        request = pb2.ExtractDocumentRequest(content=content)
        extract(request)
        alone = median(_seconds(extract, request) for _ in range(rounds))
        data = request.SerializeToString()
        confined = median(
            [await _waited(lambda data=data: sandbox.run("document", data, is_alone=True)) for _ in range(rounds)]  # type: ignore[misc]
        )
        figures += [
            Figure(f"a {name}, alone, median", alone * 1000, "ms", note=f"{len(content):,} bytes"),
            Figure(f"a {name}, without rights, median", confined * 1000, "ms"),
        ]
    bare = median(_seconds(_bare_pdf, pdf) for _ in range(rounds))
    return [*figures, Figure("a pdf, bare library, median", bare * 1000, "ms", note="pypdfium2, text alone")]


def _mail(text: str, html: str, attached: bytes) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"] = "Ada Lee <ada@example.com>", "desk@example.org, ben@example.org"
    mail["Subject"], mail["Date"] = "Ten o'clock, naïvely", "Thu, 26 Nov 2026 09:00:00 +0000"
    mail.set_content(text or "See below.")
    if html:
        mail.add_alternative(html, subtype="html")
    if attached:
        mail.add_attachment(attached, maintype="application", subtype="octet-stream", filename="offer.bin")
    return mail.as_bytes(policy=email.policy.SMTP)


def _plain(data: bytes) -> tuple[object, ...]:
    mail = email.message_from_bytes(data, policy=email.policy.default)
    texts = [mail.get_body((kind,)) for kind in ("plain", "html")]
    contents = [part.get_content() for part in (*texts, *mail.iter_attachments()) if part is not None]
    return mail["from"].addresses, mail["to"].addresses, mail["subject"], mail["date"].datetime, contents


def _mail_parser() -> Callable[[bytes], tuple[object, ...]] | None:
    """Return a reader by the package mail-parser; None where it is not installed."""
    try:
        package = importlib.import_module("mailparser")
    except ImportError:
        return None

    def read(data: bytes) -> tuple[object, ...]:
        mail = package.parse_from_bytes(data)
        return mail.from_, mail.to, mail.subject, mail.date, mail.text_plain, mail.text_html, mail.attachments

    return read


def _bare_pdf(data: bytes) -> str:
    document = pypdfium2.PdfDocument(data)
    return "".join(page.get_textpage().get_text_range() for page in document)


def _seconds(run: Callable[..., object], content: object) -> float:
    began = time.process_time()
    run(content)
    return time.process_time() - began


async def _waited(run: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await run()
    return time.perf_counter() - began


if __name__ == "__main__":
    measure.main("read_contents", "What do a mail and a document cost?", METHOD, program)
