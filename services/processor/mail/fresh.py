"""Fetch one mail for a caller, outside of any lease: nothing is stored, and no event is made."""

from services.processor.mail.sources.findings import Failed, Found, Missing
from services.processor.mail.sources.gmail import GmailMailbox
from services.processor.mail.sources.graph import GraphMailbox
from services.processor.mail.sources.mapped import MappedMessage
from services.processor.mail.sources.quotas import Quotas
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import RULES, SourceError
from services.processor.settings import ProcessorSettings
from services.providers.failures import Meaning
from services.providers.names import GOOGLEWS


class FreshMail:
    """Fetches mails for callers.

    Args:
        settings: The providers' addresses.
        quotas: The part of the mailboxes' quotas at Google that callers' reads have.
    """

    def __init__(self, settings: ProcessorSettings, quotas: Quotas) -> None:
        self._settings = settings
        self._quotas = quotas

    async def fetch(self, access: MailboxAccess, message_id: str) -> MappedMessage:
        """Fetch one mail.

        Args:
            access: The mailbox's access to its provider.
            message_id: The provider's id.

        Raises:
            SourceError: The mail is missing, or it or its mailbox cannot be read.
        """
        fetched = await self._source(access).fetch([message_id])
        if fetched.failure is not None:
            raise fetched.failure
        match fetched.findings[message_id]:
            case Found(mapped):
                return mapped
            case Failed(error):
                raise error
            case Missing():
                raise SourceError(RULES[Meaning.NOT_FOUND], f"{access.provider} has no such mail")

    def _source(self, access: MailboxAccess) -> GraphMailbox | GmailMailbox:
        if access.provider == GOOGLEWS:
            quota = self._quotas.of(access.tenant_id)
            return GmailMailbox(access, self._settings.google_gmail_url, quota, 1)
        return GraphMailbox(access, self._settings.ms365_graph_url)
