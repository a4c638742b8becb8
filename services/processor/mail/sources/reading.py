"""Reading one mail for another wing."""

from mailmesh.mail.v1 import message_pb2
from services.processor.mail.sources import gmail_mapping, graph_mapping
from services.processor.mail.sources.findings import Failed, Found, mapped_by
from services.processor.mailbox.failures import classify
from services.processor.mailbox.provider_http import JSON
from services.providers.names import MS365


async def read_mail(provider: str, raw: JSON) -> message_pb2.MailMessage:
    """Read a provider's object as a mail, in another thread or process when it is long.

    Args:
        provider: "ms365" or "googlews".
        raw: The object as it was parsed; it must not be changed until the call returns.

    Raises:
        SourceError: The object cannot be read.
    """
    found = await mapped_by(
        graph_mapping.map_message if provider == MS365 else gmail_mapping.map_message, provider, raw
    )
    if isinstance(found, Found):
        return found.mapped.message
    raise found.error if isinstance(found, Failed) else classify(provider, 422, ["message_is_no_object"])
