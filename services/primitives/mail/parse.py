"""A mail in MIME to the contract's mail."""

from mailmesh.mail.v1 import message_pb2
from mailmesh.primitives.v1 import primitive_service_pb2
from services.message.bounds import Cuts, bound
from services.message.mapping import map_tree
from services.message.mime import MimeTree
from services.message.reply_text import set_reply_text
from services.primitives.mail.mime_source import MimeSource


def parse_mail(data: bytes) -> primitive_service_pb2.ParseMailResponse:
    """Parse a mail. Pure, and never an exception whatever the bytes are.

    Args:
        data: The mail in MIME.
    """
    source = MimeSource(data)
    message, cuts = message_of(source)
    truncation = cuts.truncation(message.ByteSize())
    response = primitive_service_pb2.ParseMailResponse(message=message, faults=sorted(source.faults))
    if truncation is not None:
        response.truncation.CopyFrom(truncation)
    return response


def message_of(source: MimeSource) -> tuple[message_pb2.MailMessage, Cuts]:
    """Return the mail of a source within its bounds, and the cuts."""
    cuts = Cuts()
    message = map_tree(MimeTree(source.payload()), cuts, size_bytes=source.size)
    bound(message, cuts)
    set_reply_text(message.body)
    return message, cuts
