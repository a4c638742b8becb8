"""The calendars' work on a held mailbox: the due list, then the due calendars, for a bounded time."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from mailmesh.calendar.v1 import calendar_pb2
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlated
from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from services.meshkit.metrics import UNEXPECTED
from services.processor.calendar.google import GoogleCalendars
from services.processor.calendar.graph import GraphCalendars
from services.processor.calendar.ledger import CalendarChangedError, CalendarLedger
from services.processor.calendar.pushes import MOST_CALENDARS, pushes_of, state_followed
from services.processor.calendar.rows import CalendarRow
from services.processor.calendar.source import CalendarSource
from services.processor.calendar.store import calendars
from services.processor.calendar.sync import CalendarGoneError, CalendarSync
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.lease_endings import LeaseLostError
from services.processor.mailbox.provider_http import ProviderHttp
from services.processor.mailbox.store.mailboxes import FencedError
from services.processor.mailbox.token_cache import TokenCache
from services.processor.mailbox.transaction import Transactions
from services.processor.mailbox.work import HeldMailbox
from services.processor.metrics import FAILURES
from services.processor.settings import ProcessorSettings
from services.processor.stream.store import tenants
from services.providers.abilities import CALENDAR_READ
from services.providers.failures import Meaning
from services.providers.names import GOOGLEWS

logger = structlog.get_logger(__name__)

_NO_MAIL = "ABILITY_NOT_GRANTED"
_AT_ONCE = 20
_THROTTLED_WAIT = timedelta(seconds=60)
_NO_TOKEN_WAIT = timedelta(seconds=60)
_UNSTATED_WAIT = timedelta(seconds=60)
_LONGEST_DOUBLING = 20


@dataclass(frozen=True)
class DueCalendars:
    """The due list and calendars of a tenant.

    Args:
        is_list_due: Whether the list of calendars is due.
        rows: The due calendars.
    """

    is_list_due: bool
    rows: Sequence[CalendarRow]


class CalendarWork:
    """The calendars' work on a held mailbox; implements `mailbox.work.MailboxWork`. It leaves the lease's items alone.

    Args:
        http: The process's connections to the providers.
        tokens: The process's tokens.
        transactions: The process's transactions.
        settings: Addresses, bounds and waits.
        clock: The time.
    """

    queues = (calendars.DUE,)

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

    async def read_due(self, connection: db.Connection, tenant_id: str, due: Collection[str]) -> Sequence[DueCalendars]:
        """See `MailboxWork.read_due`."""
        del due  # of one queue
        rows = await calendars.due(connection, tenant_id, _AT_ONCE)
        found = await calendars.list_of(connection, tenant_id)
        is_list_due = found is not None and found.due_at is not None and found.due_at <= self._clock.now()
        return [DueCalendars(is_list_due, rows)] if rows or is_list_due else []

    async def process(self, held: HeldMailbox, due: Sequence[DueCalendars]) -> None:
        """See `MailboxWork.process`. Failures concern calendars alone."""
        if pushes_of(held.lease):
            # The pushes of this lease have made their calendars due since the due ones were read.
            async with self._transactions.reading() as connection:
                due = await self.read_due(connection, held.lease.tenant_id, ())
        for one in due:
            with correlated(new_id()):
                await self._process(held, one)

    async def recover(self, held: HeldMailbox, due: Sequence[DueCalendars], error: SourceError) -> None:
        """See `MailboxWork.recover`."""
        if error.reason == _NO_MAIL:
            # The account shows its calendars without having granted the reading of its mail.
            await self.process(held, due)
        elif due:
            await self._postpone(held, error, _NO_TOKEN_WAIT)

    async def _process(self, held: HeldMailbox, due: DueCalendars) -> None:
        provider = held.tenant.provider
        access = MailboxAccess(self._http, self._tokens, held.lease.tenant_id, provider, 1, CALENDAR_READ)
        try:
            lent = await access.lent()
        except SourceError as exc:
            await self._postpone(held, exc, _NO_TOKEN_WAIT)
            return
        source = self._source(provider, access)
        ledger = CalendarLedger(self._transactions, lent.tenant, held.lease.fence, self._clock)
        known = await state_followed(self._transactions, held.lease, is_list_due=due.is_list_due)
        sync = CalendarSync(source, ledger, self._settings, self._clock, lent.tenant.address, known.pushed)
        try:
            if due.is_list_due:
                await self._read_list(held, source, ledger, lent.tenant.address, known.stated)
            until = time.monotonic() + self._settings.slice_seconds
            for row in due.rows:
                if time.monotonic() > until:
                    return  # the rest stays due, after the mail of the same mailbox
                await self._read(sync, ledger, row)
        except SourceError as exc:  # throttled: nothing else of this account is asked for now
            await self._postpone(held, exc, exc.retry_after or _THROTTLED_WAIT)

    def _source(self, provider: str, access: MailboxAccess) -> CalendarSource:
        if provider == GOOGLEWS:
            return GoogleCalendars(access, self._settings.google_calendar_url)
        return GraphCalendars(access, self._settings.ms365_graph_url)

    async def _read(self, sync: CalendarSync, ledger: CalendarLedger, row: CalendarRow) -> None:
        try:
            await sync.read(row)
        except CalendarChangedError:
            logger.info("calendar changed meanwhile", calendar_id=row.calendar_id)
        except CalendarGoneError:
            await self._withdraw(ledger, row, "CALENDAR_NOT_FOUND", "the account does not have the calendar any more")
        except SourceError as exc:
            FAILURES.labels(row.info.provider, exc.remedy.value, exc.reason).inc()
            if exc.remedy is Remedy.THROTTLED:
                raise
            if exc.meaning is Meaning.FORBIDDEN:
                await self._withdraw(ledger, row, "CALENDAR_FORBIDDEN", exc.detail)
                return
            await self._put_off(ledger, row, exc.reason, exc.detail)
        except (MeshError, OSError, FencedError, LeaseLostError):
            raise
        except Exception:
            UNEXPECTED.labels("calendar").inc()
            logger.exception("calendar not read", calendar_id=row.calendar_id)
            # A calendar on which our own code fails must not stop its mailbox.
            await self._put_off(ledger, row, "UNEXPECTED", "")

    async def _withdraw(self, ledger: CalendarLedger, row: CalendarRow, reason: str, detail: str) -> None:
        try:
            await ledger.withdraw(row, reason, detail)
        except CalendarChangedError:
            logger.info("calendar changed meanwhile", calendar_id=row.calendar_id)

    async def _put_off(self, ledger: CalendarLedger, row: CalendarRow, reason: str, detail: str) -> None:
        pause = self._settings.retry_base_seconds * 2 ** min(row.failures, _LONGEST_DOUBLING)
        due_at = self._clock.now() + timedelta(seconds=min(pause, self._settings.retry_max_seconds))
        values = {"due_at": due_at, "failures": row.failures + 1, "reason": reason, "detail": detail}
        try:
            await ledger.commit(row, (), values)
        except CalendarChangedError:
            logger.info("calendar changed meanwhile", calendar_id=row.calendar_id)

    async def _read_list(
        self,
        held: HeldMailbox,
        source: CalendarSource,
        ledger: CalendarLedger,
        own_address: str,
        stated: frozenset[str],
    ) -> None:
        """Read the account's calendars, and withdraw the followed ones that it does not have any more."""
        tenant_id = held.lease.tenant_id
        try:
            found = {one.provider_calendar_id: one for one in await source.calendars(own_address)}
            lost = await self._store_list(held, list(found.values()), stated)
            for row in lost:
                if not await source.has_calendar(row.provider_calendar_id):
                    await self._withdraw(ledger, row, "CALENDAR_NOT_FOUND", "the account's list lacks the calendar")
        except SourceError as exc:
            FAILURES.labels(source.provider, exc.remedy.value, exc.reason).inc()
            if exc.remedy is Remedy.THROTTLED:
                raise
            async with self._transactions.fenced(tenant_id, held.lease.fence) as connection:
                until = self._clock.now() + _NO_TOKEN_WAIT
                await calendars.list_failed(connection, tenant_id, until, exc.reason, exc.detail)

    async def _store_list(
        self, held: HeldMailbox, found: Sequence[calendar_pb2.Calendar], stated: frozenset[str]
    ) -> list[CalendarRow]:
        """Store the list, and when it is read next: soon while Ingest does not know the calendars that are followed."""
        tenant_id, now = held.lease.tenant_id, self._clock.now()
        async with self._transactions.fenced(tenant_id, held.lease.fence) as connection:
            if await tenants.is_disconnected(connection, tenant_id):
                return []  # its calendars were deleted while the list was read
            lost = await calendars.save_list(connection, tenant_id, found)
            followed = {row.calendar_id for row in await calendars.followed(connection, tenant_id, MOST_CALENDARS)}
            wait = timedelta(seconds=self._settings.calendar_list_seconds) if followed == stated else _UNSTATED_WAIT
            next_at = now + wait if followed or stated else None
            await calendars.list_read(connection, tenant_id, now, next_at)
        return lost

    async def _postpone(self, held: HeldMailbox, error: SourceError, wait: timedelta) -> None:
        until = self._clock.now() + wait
        async with self._transactions.fenced(held.lease.tenant_id, held.lease.fence) as connection:
            await calendars.postpone_all(connection, held.lease.tenant_id, until, error.reason, error.detail)
