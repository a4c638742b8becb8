"""The writes' work on a held mailbox: the due writes, one after the other, for a bounded time."""

import time
from collections.abc import Collection, Sequence
from datetime import timedelta

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlated
from services.meshkit.errors import MeshError
from services.meshkit.metrics import UNEXPECTED
from services.processor.calendar.store import writes
from services.processor.calendar.write_rows import WriteRow
from services.processor.calendar.writing.google import GoogleWriting
from services.processor.calendar.writing.graph import GraphWriting
from services.processor.calendar.writing.ledger import Ledger, WriteChangedError
from services.processor.calendar.writing.submission import Submission
from services.processor.calendar.writing.target import WritableCalendars
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import SourceError
from services.processor.mailbox.provider_http import ProviderHttp
from services.processor.mailbox.store.mailboxes import FencedError
from services.processor.mailbox.token_cache import TokenCache
from services.processor.mailbox.transaction import Transactions
from services.processor.mailbox.work import HeldMailbox
from services.processor.settings import ProcessorSettings
from services.providers.abilities import CALENDAR_WRITE
from services.providers.names import GOOGLEWS

logger = structlog.get_logger(__name__)

_NO_READING = "ABILITY_NOT_GRANTED"
_AT_ONCE = 10
_NO_TOKEN_WAIT = timedelta(seconds=60)
_UNEXPECTED_WAIT = timedelta(seconds=60)


class CalendarWriting:
    """The writes' work on a held mailbox; implements `mailbox.work.MailboxWork`. It leaves the lease's items alone.

    Args:
        http: The process's connections to the providers.
        tokens: The process's tokens.
        transactions: The process's transactions.
        settings: Addresses, bounds and waits.
        clock: The time.
    """

    queues = (writes.DUE,)

    def __init__(
        self,
        http: ProviderHttp,
        tokens: TokenCache,
        transactions: Transactions,
        settings: ProcessorSettings,
        clock: Clock,
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._transactions = transactions
        self._settings = settings
        self._clock = clock

    async def read_due(self, connection: db.Connection, tenant_id: str, due: Collection[str]) -> Sequence[WriteRow]:
        """See `MailboxWork.read_due`."""
        del due  # of one queue
        return await writes.due(connection, tenant_id, _AT_ONCE)

    async def process(self, held: HeldMailbox, due: Sequence[WriteRow]) -> None:
        """See `MailboxWork.process`. Failures concern the write alone: mail goes on whatever becomes of it."""
        if not due:
            return
        ledger = Ledger(self._transactions, held.lease.tenant_id, held.lease.fence, self._clock)
        submission = Submission(self._calendars(held, due[0].provider), ledger, self._settings, self._clock)
        until = time.monotonic() + self._settings.slice_seconds
        for row in due:
            if time.monotonic() > until:
                return  # the rest stays due, after the mail of the same mailbox
            with correlated(row.correlation_id):
                await self._advance(submission, ledger, row)
            if submission.is_held_back:
                return  # the rows read before do not know the time until which they wait

    async def recover(self, held: HeldMailbox, due: Sequence[WriteRow], error: SourceError) -> None:
        """See `MailboxWork.recover`."""
        if error.reason == _NO_READING:
            # The account lets mailmesh write without having granted the reading of its mail.
            await self.process(held, due)
        elif due:
            until = self._clock.now() + _NO_TOKEN_WAIT
            async with self._transactions.fenced(held.lease.tenant_id, held.lease.fence) as connection:
                await writes.postpone(connection, held.lease.tenant_id, until, error.reason, error.detail)

    async def _advance(self, submission: Submission, ledger: Ledger, row: WriteRow) -> None:
        try:
            await submission.advance(row)
        except WriteChangedError:
            logger.info("calendar write changed meanwhile", calendar_write_id=row.calendar_write_id)
        except (MeshError, OSError, FencedError):
            raise
        except Exception:
            UNEXPECTED.labels("calendar_write").inc()
            logger.exception("calendar write not processed", calendar_write_id=row.calendar_write_id)
            # A write on which our own code fails must not stop its mailbox.
            await ledger.put_off(row, self._clock.now() + _UNEXPECTED_WAIT, self._settings.send_attempts)

    def _calendars(self, held: HeldMailbox, provider: str) -> WritableCalendars:
        access = MailboxAccess(self._http, self._tokens, held.lease.tenant_id, provider, 1, CALENDAR_WRITE)
        if provider == GOOGLEWS:
            return GoogleWriting(access, self._settings.google_calendar_url)
        return GraphWriting(access, self._settings.ms365_graph_url)
