"""The work on a held mailbox that modifications need: in the order in which callers asked, for a bounded time."""

import time
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import TypeAlias

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlated
from services.meshkit.errors import MeshError
from services.meshkit.metrics import UNEXPECTED
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.graph_batch import AT_ONCE, BATCH_MAX
from services.processor.mailbox.provider_http import ProviderHttp
from services.processor.mailbox.retry_policy import RetryPolicy
from services.processor.mailbox.seen_change import AnnouncedCategories
from services.processor.mailbox.store.mailboxes import FencedError
from services.processor.mailbox.token_cache import TokenCache
from services.processor.mailbox.transaction import Transactions
from services.processor.mailbox.work import HeldMailbox
from services.processor.messages.gmail import GmailMessages
from services.processor.messages.graph import GraphMessages
from services.processor.messages.ledger import Ledger, ModificationEndedError, expire
from services.processor.messages.mailbox import ModifiableMailbox
from services.processor.messages.rows import ModificationRow
from services.processor.messages.store import modifications
from services.processor.settings import ProcessorSettings
from services.providers.abilities import MAIL_MARK
from services.providers.names import GOOGLEWS, MS365

logger = structlog.get_logger(__name__)

_NO_READING = "ABILITY_NOT_GRANTED"
_AT_ONCE = 4
"""Each may have half a megabyte of ids, and they are read for each held mailbox."""
_FIRST_RETRY = timedelta(seconds=0.5)
_THROTTLED_WAIT = timedelta(seconds=5)
_RECOGNISED = timedelta(hours=1)
"""The time for which the event of a change of ours is expected after the reconciliation that finds it at the latest."""
_PERSON_WAIT = timedelta(seconds=60)
_TURN_WAIT = timedelta(seconds=0.5)
_UNEXPECTED_WAIT = timedelta(seconds=60)
_UNEXPECTED_ATTEMPTS = 20

TakeQuota: TypeAlias = Callable[[str, int], float]
"""Takes a number of units of a tenant's quota at Google, and returns the seconds to wait."""


class Modifying:
    """The work of modifications on a held mailbox; implements `mailbox.work.MailboxWork`. It leaves items alone.

    Args:
        http: The process's connections to the providers.
        tokens: The process's tokens.
        transactions: The process's transactions.
        settings: Addresses, bounds and waits.
        clock: The time.
        take_quota: The mailboxes' quotas at Google, which the mail wing uses as well.
        announced: Tells which mails have the categories that mailmesh announced last.
    """

    queues = (modifications.DUE,)

    def __init__(
        self,
        http: ProviderHttp,
        tokens: TokenCache,
        transactions: Transactions,
        settings: ProcessorSettings,
        clock: Clock,
        take_quota: TakeQuota,
        announced: AnnouncedCategories,
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._transactions = transactions
        self._settings = settings
        self._clock = clock
        self._take_quota = take_quota
        self._announced = announced
        # A history of Google's is complete at each reading; all folders of Microsoft's are compared more rarely.
        idle = min(settings.reconcile_idle_seconds, settings.reconcile_seconds)
        self._recognised = {
            GOOGLEWS: _RECOGNISED + timedelta(seconds=idle),
            MS365: _RECOGNISED + timedelta(seconds=settings.reconcile_seconds),
        }

    async def read_due(
        self, connection: db.Connection, tenant_id: str, due: Collection[str]
    ) -> Sequence[ModificationRow]:
        """See `MailboxWork.read_due`."""
        del due  # of one queue
        return await modifications.due(connection, tenant_id, _AT_ONCE)

    async def process(self, held: HeldMailbox, due: Sequence[ModificationRow]) -> None:
        """See `MailboxWork.process`. Failures concern modifications alone: mail goes on whatever becomes of them."""
        if not due:
            return
        ledger = self._ledger(held)
        until = time.monotonic() + self._settings.slice_seconds
        for row in due:
            with correlated(row.correlation_id):
                if not await self._advance(ledger, row, until):
                    return  # the rest stays due, after the mail of the same mailbox

    async def recover(self, held: HeldMailbox, due: Sequence[ModificationRow], error: SourceError) -> None:
        """See `MailboxWork.recover`."""
        if error.reason == _NO_READING:
            await self.process(held, due)
        elif due:
            ledger = self._ledger(held)
            await ledger.postpone(self._clock.now() + _PERSON_WAIT, error.reason, error.detail)

    async def _advance(self, ledger: Ledger, row: ModificationRow, until: float) -> bool:
        """Take a modification as far as it goes now; return whether there is time for the next one."""
        try:
            return await self._attempt(ledger, row, until)
        except ModificationEndedError:
            logger.info("modification ended meanwhile", modification_id=row.modification_id)
            return True

    async def _attempt(self, ledger: Ledger, row: ModificationRow, until: float) -> bool:
        try:
            return await self._modify(ledger, row, until)
        except SourceError as exc:
            await self._put_off(ledger, row, exc)
            return exc.remedy not in (Remedy.THROTTLED, Remedy.PERSON, Remedy.NEW_TOKEN)
        except (MeshError, OSError, FencedError, ModificationEndedError):
            raise
        except Exception:
            UNEXPECTED.labels("modification").inc()
            logger.exception("modification not made", modification_id=row.modification_id)
            # A modification on which our own code fails must not stop its mailbox.
            await self._fail(ledger, row)
            return True

    async def _modify(self, ledger: Ledger, row: ModificationRow, until: float) -> bool:
        mailbox, failure = self._mailbox(row), None
        held, due_at = await ledger.earlier(row)
        pending = [one for one in row.pending if one not in held]
        for begin in range(0, len(pending), mailbox.most):
            if time.monotonic() > until:
                return False
            plan = await mailbox.plan(row.content.change, pending[begin : begin + mailbox.most])
            await ledger.intend(row, plan.changes)
            row = await ledger.ended(row, plan.results)
            applied = await mailbox.apply(plan.changes)
            row = await ledger.ended(row, applied.results)
            failure = applied.failure or plan.failure or failure
            if failure is not None and failure.remedy is not Remedy.LATER:
                break
        if failure is not None:
            raise failure
        if due_at is not None:
            # An older wish must not be made last: these mails wait for the modification before.
            await ledger.wait(row, max(due_at, self._clock.now() + _TURN_WAIT), row.reason, row.detail, failed=0)
        return True

    async def _put_off(self, ledger: Ledger, row: ModificationRow, error: SourceError) -> None:
        """Retry the remaining mails later: the whole mailbox's where the failure is the mailbox's."""
        now = self._clock.now()
        if row.deadline_at <= now:
            await self._expire(ledger, row, error.reason)
        elif error.remedy is Remedy.THROTTLED:
            await ledger.postpone(now + (error.retry_after or _THROTTLED_WAIT), error.reason, error.detail)
        elif error.remedy in (Remedy.PERSON, Remedy.NEW_TOKEN):
            await ledger.postpone(now + _PERSON_WAIT, error.reason, error.detail)
        else:
            after = RetryPolicy.from_settings(self._settings, now).after(row.attempts, _FIRST_RETRY)
            await ledger.wait(row, after, error.reason, error.detail, failed=1)

    async def _fail(self, ledger: Ledger, row: ModificationRow) -> None:
        waiting = await ledger.wait(row, self._clock.now() + _UNEXPECTED_WAIT, "UNEXPECTED", "", failed=1)
        if waiting.attempts >= _UNEXPECTED_ATTEMPTS:
            await self._expire(ledger, waiting, "UNEXPECTED")

    async def _expire(self, ledger: Ledger, row: ModificationRow, why: str) -> None:
        async with ledger.fenced() as connection:
            # Read again: some mails may have got their outcome since.
            current = await modifications.by_id(connection, row.modification_id, None)
            if current is not None:
                await expire(connection, current, self._clock.now(), why)

    def _ledger(self, held: HeldMailbox) -> Ledger:
        return Ledger(
            self._transactions, held.lease.tenant_id, held.lease.fence, self._clock, self._announced, self._recognised
        )

    def _mailbox(self, row: ModificationRow) -> ModifiableMailbox:
        if row.provider == GOOGLEWS:
            access = MailboxAccess(self._http, self._tokens, row.tenant_id, row.provider, 1, MAIL_MARK)
            return GmailMessages(access, self._settings.google_gmail_url, self._take_quota)
        access = MailboxAccess(self._http, self._tokens, row.tenant_id, row.provider, AT_ONCE, MAIL_MARK)
        # After failures fewer at a time: an answer that is too large, or one mail, must not hold the others up.
        return GraphMessages(access, self._settings.ms365_graph_url, max(1, BATCH_MAX >> row.attempts))
