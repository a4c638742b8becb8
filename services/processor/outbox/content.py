"""Check the content of a send before it is stored: every value comes from outside."""

import re
from collections.abc import Iterable, Sequence

import idna

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit.addresses import ascii_domain
from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import check_id
from services.meshkit.text import check_name
from services.processor.outbox.rows import written_of

KEY_CHARACTERS = 200
RECIPIENTS_MAX = 500
FILES_MAX = 20
FILE_BYTES = 25 * 1024 * 1024
"""The most bytes of a mail's files together."""
HEADERS_MAX = 4
"""Graph takes five, of which one is the mark of an answer."""
SUBJECT_CHARACTERS = 900
BODY_BYTES = 512 * 1024
MESSAGE_ID_CHARACTERS = 500
NAME_CHARACTERS = 200
_ADDRESS_CHARACTERS = 320
CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}")
_HEADER_NAME = re.compile(r"[Xx]-[A-Za-z0-9-]{1,58}")
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]{0,498}[!-~])?")
# "." and ".." are segments of a path, which clients and proxies resolve, and no ids.
_MESSAGE_ID = re.compile(rf"(?!\.{{1,2}}\Z)[!-~]{{1,{MESSAGE_ID_CHARACTERS}}}")
_KEY = re.compile(rf"[!-~]{{1,{KEY_CHARACTERS}}}")
# The characters of a dot-atom (RFC 5322, section 3.2.3): quoted local parts are refused, since providers disagree.
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)


def checked(request: pb2.SendRequest) -> pb2.SendRequest:
    """Return a request whose addresses are ASCII, as it is stored and sent.

    Raises:
        FieldInvalid: A field is missing, malformed or out of its range.
    """
    if not _KEY.fullmatch(request.idempotency_key):
        raise FieldInvalid.of("idempotency_key", f"must have 1 to {KEY_CHARACTERS} printable ASCII characters")
    if request.WhichOneof("kind") is None:
        raise FieldInvalid.of("mail", "is required")
    made = pb2.SendRequest()
    made.CopyFrom(request)
    if made.HasField("from_address"):
        _check_person("from_address", made.from_address)
    _check_headers(made.headers)
    _check_files(made.attachments)
    kind, written = str(made.WhichOneof("kind")), written_of(made)
    if isinstance(written, pb2.NewMail):
        _check_subject(written)
    else:
        _check_original(kind, written.message_id)
    if isinstance(written, pb2.Reply):
        _check_conversation(written)
    if not isinstance(written, pb2.Reply):
        _check_people(kind, written)
    _check_body(kind, written, at_least=0 if isinstance(written, pb2.Forward) else 1)
    return made


def _check_headers(headers: Sequence[pb2.MailHeader]) -> None:
    names = [header.name.lower() for header in headers]
    if len(names) > HEADERS_MAX or len(names) != len(set(names)):
        raise FieldInvalid.of("headers", f"must have at most {HEADERS_MAX} fields, each with a name of its own")
    for place, header in enumerate(headers):
        if not _HEADER_NAME.fullmatch(header.name) or header.name.lower().startswith("x-mailmesh-"):
            raise FieldInvalid.of(f"headers[{place}].name", 'must begin with "X-" and not with "X-Mailmesh-"')
        if not _HEADER_VALUE.fullmatch(header.value) or "=?" in header.value:
            raise FieldInvalid.of(f"headers[{place}].value", "must have 1 to 500 printable ASCII characters")


def _check_files(attachments: Sequence[pb2.SendAttachment]) -> None:
    for place, attachment in enumerate(attachments):
        _check_source(f"attachments[{place}]", attachment)
        if attachment.content_id and not CONTENT_ID.fullmatch(attachment.content_id):
            raise FieldInvalid.of(
                f"attachments[{place}].content_id", "must be like local@domain, at most 200 characters"
            )
    ids = {
        (attachment.upload_id, attachment.received.message_id, attachment.received.attachment_id)
        for attachment in attachments
    }
    if len(attachments) > FILES_MAX or len(ids) != len(attachments):
        raise FieldInvalid.of("attachments", f"must be at most {FILES_MAX} files, each once")


def _check_source(field: str, attachment: pb2.SendAttachment) -> None:
    if attachment.HasField("received") is bool(attachment.upload_id):
        raise FieldInvalid.of(f"{field}.upload_id", "must be given, or else received")
    if attachment.upload_id:
        attachment.upload_id = check_id(f"{field}.upload_id", attachment.upload_id)
        return
    for name in ("message_id", "attachment_id"):
        if not _MESSAGE_ID.fullmatch(getattr(attachment.received, name)):
            raise FieldInvalid.of(
                f"{field}.received.{name}", f"must have 1 to {MESSAGE_ID_CHARACTERS} printable ASCII characters"
            )


def _check_original(kind: str, message_id: str) -> None:
    if not _MESSAGE_ID.fullmatch(message_id):
        raise FieldInvalid.of(
            f"{kind}.message_id", f"must have 1 to {MESSAGE_ID_CHARACTERS} printable ASCII characters"
        )


def _check_conversation(reply: pb2.Reply) -> None:
    if reply.conversation_id:
        reply.conversation_id = check_id("reply.conversation_id", reply.conversation_id)
    if (reply.expected_version > 0) is not bool(reply.conversation_id) or reply.expected_version < 0:
        raise FieldInvalid.of("reply.expected_version", "must be the version of the conversation in conversation_id")


def _check_people(kind: str, mail: pb2.NewMail | pb2.Forward) -> None:
    count = len(mail.to) + len(mail.cc) + len(mail.bcc)
    if not 0 < count <= RECIPIENTS_MAX:
        raise FieldInvalid.of(f"{kind}.to", f"with cc and bcc, must have 1 to {RECIPIENTS_MAX} recipients")
    for name in ("to", "cc", "bcc"):
        _check_recipients(f"{kind}.{name}", getattr(mail, name))


def _check_subject(mail: pb2.NewMail) -> None:
    check_name("mail.subject", mail.subject, SUBJECT_CHARACTERS)


def _check_recipients(field: str, recipients: Iterable[pb2.Recipient]) -> None:
    for place, recipient in enumerate(recipients):
        _check_person(f"{field}[{place}]", recipient)


def _check_person(field: str, person: pb2.Recipient) -> None:
    person.address = address_of(f"{field}.address", person.address)
    # A line break would end the header line; the other characters that act deceive people and programs.
    check_name(f"{field}.name", person.name, NAME_CHARACTERS)


def address_of(field: str, text: str) -> str:
    """Return an address with its domain in ASCII, by IDNA 2008 with the mapping of UTS 46.

    Raises:
        FieldInvalid: It is no address, or its local part is not ASCII: no provider's API carries SMTPUTF8 reliably.
    """
    local, _, domain = text.strip().rpartition("@")
    try:
        in_ascii = ascii_domain(domain)
    except (idna.IDNAError, UnicodeError) as exc:
        raise FieldInvalid.of(field, "has a domain that is no domain name") from exc
    made = f"{local}@{in_ascii}"
    is_address = _LOCAL.fullmatch(local) and len(local) <= 64 and _DOMAIN.fullmatch(in_ascii)  # noqa: PLR2004 - RFC 5321, section 4.5.3.1.1
    if "=?" in local:  # it begins an encoded word (RFC 2047), which programs decode
        raise FieldInvalid.of(field, 'must not contain "=?"')
    if not is_address or len(made) > _ADDRESS_CHARACTERS or len(in_ascii) > 253:  # noqa: PLR2004 - RFC 1035
        raise FieldInvalid.of(field, "must be local@domain, with an ASCII local part")
    return made


def _check_body(kind: str, mail: pb2.NewMail | pb2.Reply | pb2.Forward, at_least: int) -> None:
    size = len(mail.text.encode()) + len(mail.html.encode())
    if not at_least <= size <= BODY_BYTES:
        raise FieldInvalid.of(f"{kind}.text", f"with html, must have {at_least} to {BODY_BYTES} bytes")
    for name in ("text", "html"):
        if "\0" in getattr(mail, name):
            raise FieldInvalid.of(f"{kind}.{name}", "must not contain NUL")
