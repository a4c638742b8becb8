"""Ask a provider for free and busy times, and say by name why it refuses."""

from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.meshkit.errors import MeshError
from services.processor.calendar.errors import FreeBusyRefused
from services.processor.calendar.free_busy.google import google_free_busy
from services.processor.calendar.free_busy.graph import graph_free_busy
from services.processor.calendar.free_busy.query import Query
from services.processor.errors import AbilityNotGranted
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import SourceError
from services.processor.settings import ProcessorSettings
from services.providers.abilities import CALENDAR_READ, connect_command
from services.providers.failures import Meaning
from services.providers.names import GOOGLEWS

_NO_SCOPE = "insufficientPermissions"
_REFUSALS = frozenset({Meaning.FORBIDDEN, Meaning.FINAL, Meaning.NOT_FOUND, Meaning.MAILBOX_UNAVAILABLE})


class FreeBusy:
    """Asks for free and busy times.

    Args:
        settings: The providers' addresses.
    """

    def __init__(self, settings: ProcessorSettings) -> None:
        self._settings = settings

    async def query(self, access: MailboxAccess, query: Query) -> list[pb2.FreeBusySchedule]:
        """Return the times of each address, in the order of the question. Safe to call again.

        Args:
            access: The access of the account that asks.
            query: The question.

        Raises:
            AbilityNotGranted: The account was connected before mailmesh asked for the scope of free and busy times.
            FreeBusyRefused: The provider refuses the question.
            SourceError: Any other failure.
        """
        try:
            if access.provider == GOOGLEWS:
                return await google_free_busy(access, self._settings.google_calendar_url, query)
            return await graph_free_busy(access, self._settings.ms365_graph_url, query)
        except SourceError as exc:
            if (refusal := refusal_of(exc, access.provider, query.tenant_id)) is not None:
                raise refusal from exc
            raise


def refusal_of(error: SourceError, provider: str, tenant_id: str) -> MeshError | None:
    """Return the caller's failure for a refused question; None for a failure of another kind."""
    if error.code == _NO_SCOPE:
        command = connect_command(provider, tenant_id, (CALENDAR_READ,))
        message = f"The account was connected without the right to free and busy times. Connect it again: {command}"
        metadata = {"ability": CALENDAR_READ, "tenant_id": tenant_id, "command": command}
        return AbilityNotGranted(message, subject=tenant_id, metadata=metadata)
    if error.meaning in _REFUSALS and error.code != "answer_too_large":
        return FreeBusyRefused(subject=tenant_id, metadata={"tenant_id": tenant_id, "detail": error.detail})
    return None
