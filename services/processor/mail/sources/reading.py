"""Reading a mail, or a long answer, for other wings."""

from mailmesh.mail.v1 import message_pb2
from services.processor.mail.sources import gmail_mapping, graph_mapping
from services.processor.mail.sources.findings import LONG_MAILS, Failed, Found, mapped_by, unread
from services.processor.mail.sources.mapping_child import NO_JSON
from services.processor.mail.sources.mapping_pool import MappingError
from services.processor.mailbox.failures import classify
from services.processor.mailbox.provider_http import JSON
from services.providers.names import MS365


async def read_mail(provider: str, raw: JSON) -> message_pb2.MailMessage:
    """Read a provider's object as a mail, in another thread or process when it is long.

    Args:
        provider: "ms365" or "googlews".
        raw: The object as it was parsed, which must not be changed until the call returns.

    Raises:
        SourceError: The object cannot be read.
    """
    found = await mapped_by(
        graph_mapping.map_message if provider == MS365 else gmail_mapping.map_message, provider, raw
    )
    if isinstance(found, Found):
        return found.mapped.message
    raise found.error if isinstance(found, Failed) else classify(provider, 422, ["message_is_no_object"])


async def read_answer(provider: str, raw: bytes) -> JSON | None:
    """Read a long answer in a process; None when it is no JSON object.

    Args:
        provider: "ms365" or "googlews".
        raw: The answer.

    Raises:
        SourceError: The process cannot read the answer now, or the answer has too many members.
    """
    try:
        return await LONG_MAILS.parsed(raw)
    except MappingError as exc:
        if exc.word == NO_JSON:
            return None
        raise unread(provider, exc) from exc
