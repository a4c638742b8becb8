"""The mail of a send as MIME, for Gmail.

The header lines are made here: Python's `EmailMessage` decodes the encoded words (RFC 2047) in the values that it is
given, so that a caller's text could become line breaks and other header lines.
"""

import re
from collections.abc import Sequence
from email.errors import HeaderParseError
from email.header import Header, decode_header, make_header
from email.message import EmailMessage, Message
from email.parser import BytesHeaderParser
from email.policy import SMTP
from email.utils import getaddresses, quote

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit.file_names import safe_name
from services.processor.outbox.content import CONTENT_ID
from services.processor.outbox.mailbox import MailNotMadeError
from services.processor.outbox.rows import File, SendRow
from services.providers.marks import GMAIL_SEND

_LINE = 76
_PLAIN_CHARACTERS = 60
_FOLD = "\r\n "
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
WHOLE_MAIL = "message/rfc822"
_LINE_BYTES = 998
_HEAD = re.compile(rb"\A(?:\r?\n|.*?\r?\n\r?\n|.*\Z)", re.DOTALL)
# Some programs end a line at a carriage return alone, and RFC 5322 (4.5) allows a blank before the colon.
_PRIVATE = re.compile(
    rb"(?i)(?:(?<=[\r\n])|\A)(?:bcc|resent-bcc|x-mailmesh-[!-9;-~]*)[ \t]*:"
    rb"[^\r\n]*(?:(?:\r\n|[\r\n])[ \t][^\r\n]*)*(?:\r\n|[\r\n]|\Z)"
)
_BODY_HEADERS = ("mime-version", "content-type", "content-transfer-encoding")


def mime_of(row: SendRow, mail: pb2.NewMail, references: Sequence[str] = (), files: Sequence[File] = ()) -> bytes:
    """Return the mail of a send as MIME, without Date and Message-ID, and without From where the request names none.

    Gmail writes them.

    Args:
        row: The send.
        mail: The mail as it is sent, with its quote.
        references: The message ids that an answer refers to, in angle brackets; the answered mail's last.
        files: The attachments.

    Raises:
        MailNotMadeError: The bytes would be read as another mail than the one that was asked for.
    """
    lines = [f"{GMAIL_SEND}: {row.send_id}", *(f"{one.name}: {one.value}" for one in row.content.headers)]
    lines += [f"Subject: {_unstructured(mail.subject)}"]
    if references:
        # Python's own writer makes encoded words of ids of 78 characters and more, which thread no mail. A line may be
        # folded between ids, and not within one.
        lines += [f"In-Reply-To: {references[-1]}", f"References: {_FOLD.join(references)}"]
    lines += [f"{name}: {_people(people)}" for name, people in _fields(row, mail).items()]
    made = "\r\n".join(lines).encode("ascii", "replace") + b"\r\n" + _body(mail, files)
    _check(made, row, mail, references)
    return made


def media_type(given: str) -> str:
    """Return a media type that a stranger has written, in lower case and without parameters; else that of any bytes."""
    found = given.partition(";")[0].strip().lower()
    return found if _TYPE.fullmatch(found) else "application/octet-stream"


def without_private_fields(mail: bytes) -> bytes:
    """Return a mail without the fields that its recipients do not see, Bcc, and those that mailmesh writes."""
    head = _HEAD.match(mail)
    end = head.end() if head else 0
    return _PRIVATE.sub(b"", mail[:end]) + mail[end:]


def _fields(row: SendRow, mail: pb2.NewMail) -> dict[str, list[pb2.Recipient]]:
    sender = [row.content.from_address] if row.content.HasField("from_address") else []
    fields = {"From": sender, "To": list(mail.to), "Cc": list(mail.cc), "Bcc": list(mail.bcc)}
    return {name: people for name, people in fields.items() if people}


def _unstructured(text: str) -> str:
    is_plain = text.isascii() and "=?" not in text and text == text.strip() and len(text) <= _PLAIN_CHARACTERS
    return text if is_plain else _encoded(text, "Subject")


def _people(people: list[pb2.Recipient]) -> str:
    return ",\r\n ".join(f"{_phrase(one.name)}<{one.address}>" for one in people)


def _phrase(name: str) -> str:
    if not name:
        return ""
    # Programs decode encoded words in quoted strings too, although RFC 2047 (section 5) forbids them there.
    is_plain = name.isascii() and "=?" not in name and name == name.strip()
    return f'"{quote(name)}" ' if is_plain else f"{_encoded(name, 'Bcc')} "


def _encoded(text: str, header: str) -> str:
    return Header(text, "utf-8", maxlinelen=_LINE, header_name=header).encode(linesep="\r\n")


def _body(mail: pb2.NewMail, files: Sequence[File]) -> bytes:
    """Return the headers of the content, an empty line, and the content."""
    made = EmailMessage(policy=SMTP)
    if mail.text or not mail.html:
        made.set_content(mail.text)
    if mail.html and mail.text:
        made.add_alternative(mail.html, subtype="html")
    elif mail.html:
        made.set_content(mail.html, subtype="html")
    for file in files:
        _attach(made, file)
    return made.as_bytes()


def _attach(made: EmailMessage, file: File) -> None:
    if file.content_type == WHOLE_MAIL and _is_seven_bit(file.content):
        _attach_mail(made, file)
        return
    maintype, _, subtype = file.content_type.partition("/")
    if not _TYPE.fullmatch(file.content_type) or maintype in {"multipart", "message"}:
        maintype, subtype = "application", "octet-stream"
    content_id = f"<{file.content_id}>" if CONTENT_ID.fullmatch(file.content_id) else None
    name = safe_name(file.name)
    html = made.get_body(("related", "html")) if content_id else None
    if html is not None:
        html.add_related(file.content, maintype, subtype, filename=name, cid=content_id, disposition="inline")
    else:
        made.add_attachment(file.content, maintype, subtype, filename=name)


def _is_seven_bit(content: bytes) -> bool:
    """Tell whether a mail can stand in another one as it is: RFC 2046 (5.2.1) allows it no encoding."""
    if not content.isascii() or b"\0" in content:
        return False
    return all(len(line) <= _LINE_BYTES and not {10, 13} & set(line) for line in content.split(b"\r\n"))


def _attach_mail(made: EmailMessage, file: File) -> None:
    """Attach a mail with its lines as they are: to read and write it could make another mail of it."""
    part = EmailMessage(policy=SMTP)
    part.add_header("Content-Type", WHOLE_MAIL)
    part.add_header("Content-Transfer-Encoding", "7bit")
    name = safe_name(file.name)
    part.add_header("Content-Disposition", "attachment", filename=name)
    part.set_payload(file.content.decode("ascii"))
    if made.get_content_type() != "multipart/mixed":
        made.make_mixed()
    made.attach(part)


def _check(made: bytes, row: SendRow, mail: pb2.NewMail, references: Sequence[str]) -> None:
    """Read the bytes as a recipient's program does: they must be the mail that was asked for, and nothing else."""
    read = BytesHeaderParser().parsebytes(made)
    threading = {"In-Reply-To": list(references[-1:]), "References": list(references)} if references else {}
    fields = _fields(row, mail)
    names = [name.lower() for name in read.keys()]  # noqa: SIM118 - a message yields no names by iteration alone
    own = [name for name in names if name not in _BODY_HEADERS]
    try:
        is_as_asked = (
            own
            == [
                GMAIL_SEND.lower(),
                *(one.name.lower() for one in row.content.headers),
                "subject",
                *map(str.lower, (*threading, *fields)),
            ]
            and len(names) == len(set(names))
            and str(read[GMAIL_SEND]) == row.send_id
            and _text(str(read["Subject"])) == mail.subject
            and all(str(read[one.name]) == one.value for one in row.content.headers)
            and all(str(read[name]).split() == ids for name, ids in threading.items())
            and all(
                _read_people(read, name) == [(x.name, x.address) for x in people] for name, people in fields.items()
            )
        )
    except (HeaderParseError, UnicodeError, LookupError, ValueError) as exc:
        raise MailNotMadeError("the mail cannot be written as MIME") from exc
    if not is_as_asked:
        raise MailNotMadeError("the mail cannot be written as MIME without becoming another mail")


def _read_people(read: Message, name: str) -> list[tuple[str, str]]:
    return [(_text(phrase), address) for phrase, address in getaddresses([str(read[name])])]


def _text(value: str) -> str:
    return str(make_header(decode_header(value)))
