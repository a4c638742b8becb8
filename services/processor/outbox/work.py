"""The outbox's work on a held mailbox: the due sends, one after the other, for a bounded time."""

import time
from collections.abc import Collection, Sequence
from datetime import timedelta

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlated
from services.meshkit.errors import MeshError
from services.meshkit.metrics import UNEXPECTED
from services.processor.mailbox.failures import SourceError
from services.processor.mailbox.provider_http import ProviderHttp
from services.processor.mailbox.store.mailboxes import FencedError
from services.processor.mailbox.token_cache import TokenCache
from services.processor.mailbox.transaction import Transactions
from services.processor.mailbox.work import HeldMailbox
from services.processor.outbox.access import SendingAccess, TakeUnits
from services.processor.outbox.answers import ReadMail
from services.processor.outbox.gmail import GmailOutbox
from services.processor.outbox.graph import GraphOutbox
from services.processor.outbox.ledger import Ledger, SendChangedError
from services.processor.outbox.mailbox import SendingMailbox
from services.processor.outbox.room import Room
from services.processor.outbox.rows import SendRow
from services.processor.outbox.store import due_sends
from services.processor.outbox.submission import Submission
from services.processor.settings import ProcessorSettings
from services.providers.names import GOOGLEWS

logger = structlog.get_logger(__name__)

_NO_READING = "ABILITY_NOT_GRANTED"
_SENDS_AT_ONCE = 20
_NO_TOKEN_WAIT = timedelta(seconds=60)
_UNEXPECTED_WAIT = timedelta(seconds=60)


class Outbox:
    """The outbox's work on a held mailbox; implements `mailbox.work.MailboxWork`. It leaves the lease's items alone.

    Args:
        http: The process's connections to the providers.
        tokens: The process's tokens.
        transactions: The process's transactions.
        settings: Addresses, bounds and waits.
        clock: The time.
        read: Reads a provider's object as a mail.
        take_units: Takes quota units of a Gmail mailbox.
    """

    queues = (due_sends.DUE,)

    def __init__(
        self,
        http: ProviderHttp,
        tokens: TokenCache,
        transactions: Transactions,
        settings: ProcessorSettings,
        clock: Clock,
        read: ReadMail,
        take_units: TakeUnits,
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._transactions = transactions
        self._settings = settings
        self._clock = clock
        self._read = read
        self._take_units = take_units
        self._room = Room(settings.send_memory_bytes)

    async def read_due(self, connection: db.Connection, tenant_id: str, due: Collection[str]) -> Sequence[SendRow]:
        """See `MailboxWork.read_due`."""
        del due  # of one queue
        return await due_sends.due(connection, tenant_id, _SENDS_AT_ONCE)

    async def process(self, held: HeldMailbox, due: Sequence[SendRow]) -> None:
        """See `MailboxWork.process`. Failures concern the send alone: mail goes on whatever becomes of it."""
        if not due:
            return
        ledger = Ledger(self._transactions, held.lease.tenant_id, held.lease.fence, self._clock)
        submission = Submission(self._mailbox(held, due[0].provider), ledger, self._settings, self._clock, self._room)
        until = time.monotonic() + self._settings.slice_seconds
        for row in due:
            if time.monotonic() > until:
                return  # the rest stays due, after the mail of the same mailbox
            with correlated(row.correlation_id):
                await self._advance(submission, ledger, row)
            if submission.is_held_back:
                return  # the rows read before do not know the time until which they wait

    async def recover(self, held: HeldMailbox, due: Sequence[SendRow], error: SourceError) -> None:
        """See `MailboxWork.recover`."""
        if error.reason == _NO_READING:
            # The account sends without having granted the reading of its events.
            await self.process(held, due)
            return
        if not due:
            return
        until = self._clock.now() + _NO_TOKEN_WAIT
        async with self._transactions.fenced(held.lease.tenant_id, held.lease.fence) as connection:
            await due_sends.postpone(connection, held.lease.tenant_id, until, error.reason, error.detail)

    async def _advance(self, submission: Submission, ledger: Ledger, row: SendRow) -> None:
        try:
            await (ledger.broken(row) if row.is_broken else submission.advance(row))
        except SendChangedError:
            logger.info("send changed meanwhile", send_id=row.send_id)
        except (MeshError, OSError, FencedError):
            raise
        except Exception:
            UNEXPECTED.labels("send").inc()
            logger.exception("send not processed", send_id=row.send_id)
            # A send on which our own code fails must not stop its mailbox.
            await ledger.put_off(row, self._clock.now() + _UNEXPECTED_WAIT, self._settings.send_attempts)

    def _mailbox(self, held: HeldMailbox, provider: str) -> SendingMailbox:
        access = SendingAccess(self._http, self._tokens, held.lease.tenant_id, provider, self._take_units)
        if provider == GOOGLEWS:
            return GmailOutbox(access, self._settings.google_gmail_url, self._read)
        return GraphOutbox(access, self._settings.ms365_graph_url, self._read)
