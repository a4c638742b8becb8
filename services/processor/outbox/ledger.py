"""Commit the steps of a send: each under the mailbox's fence, and only from the state that the worker knows."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit.clock import Clock
from services.processor.mailbox.transaction import Transactions
from services.processor.metrics import SENDS
from services.processor.outbox.content import FILE_BYTES
from services.processor.outbox.mailbox import MailNotMadeError
from services.processor.outbox.outcome import IN_DOUBT, end, finish
from services.processor.outbox.rows import UNSUBMITTED, File, MailCopy, SendRow, State
from services.processor.outbox.store import due_sends, sends, uploads
from services.processor.stream.errors import SealBroken
from services.processor.stream.metrics import SEALS_BROKEN

logger = structlog.get_logger(__name__)


class SendChangedError(Exception):
    """Another process has changed the send's state: it was cancelled, or past its deadline."""


class Ledger:
    """Commits the steps of one mailbox's sends.

    Args:
        transactions: The process's fenced transactions.
        tenant_id: The mailbox's tenant.
        fence: The fence of the lease.
        clock: The time.
    """

    def __init__(self, transactions: Transactions, tenant_id: str, fence: int, clock: Clock) -> None:
        self._transactions = transactions
        self._tenant_id = tenant_id
        self._fence = fence
        self._clock = clock

    async def intend(self, row: SendRow, anchor: str, addressed: pb2.NewMail) -> SendRow:
        """Commit that a draft may exist from now on, its recipients, and the place from which the provider shows it."""
        values = {"prepared_at": self._clock.now(), "history_anchor": anchor}
        return await self._change(
            row,
            {
                **values,
                "addressed": sends.sealed(row.tenant_id, row.send_id, "addressed", addressed.SerializeToString()),
            },
        )

    async def uploaded(self, row: SendRow, attachment: pb2.SendAttachment) -> File:
        """Read an uploaded file of a send.

        Raises:
            MailNotMadeError: The file is gone, or its seal is broken.
        """
        async with self._transactions.reading() as connection:
            try:
                file = await uploads.read(connection, row.send_id, attachment.upload_id)
            except SealBroken as exc:
                SEALS_BROKEN.inc()
                logger.error("a file's seal is broken", tenant_id=row.tenant_id, send_id=row.send_id)  # noqa: TRY400
                raise MailNotMadeError("the seal of an attachment of the mail is broken") from exc
        if file is None:
            raise MailNotMadeError("an attachment of the mail is gone")
        return File(*file, attachment.content_id)

    async def file_bytes(self, row: SendRow) -> int:
        """Return the most bytes that a send's files can have together."""
        if any(attachment.HasField("received") for attachment in row.content.attachments):
            return FILE_BYTES  # their sizes are unknown before they are read
        return await self.uploaded_bytes(row)

    async def uploaded_bytes(self, row: SendRow) -> int:
        """Read the size of a send's uploaded files together, in bytes."""
        if not any(attachment.upload_id for attachment in row.content.attachments):
            return 0
        async with self._transactions.reading() as connection:
            return await uploads.bytes_of(connection, row.send_id)

    async def drafted(self, row: SendRow, draft_id: str) -> SendRow:
        """Commit the id of the draft: the only one that is ever submitted."""
        return await self._change(row, {"draft_id": draft_id})

    async def confirm(self, row: SendRow) -> None:
        """Make sure that this worker holds the mailbox and that the send is in the state that the worker knows."""
        await self._change(row, {"draft_id": row.draft_id})

    async def submitting(self, row: SendRow) -> SendRow:
        """Commit that the mail is submitted now. From here on nothing but the provider tells whether it was."""
        now = self._clock.now()
        values = {
            "state": State.SENDING,
            "submitted_at": now,
            "submissions": row.submissions + 1,
            "due_at": now,
            "reason": "",
            "detail": "",
        }
        return await self._change(row, values)

    async def accepted(self, row: SendRow, message_id: str) -> SendRow:
        """Commit that the provider accepted the mail: it is never submitted again. Its id may be empty."""
        return await self._change(row, {"accepted_at": self._clock.now(), "message_id": message_id})

    async def reached(self, row: SendRow, anchor: str) -> SendRow:
        """Commit the place in the history up to which a search found no sent copy."""
        return row if anchor == row.history_anchor else await self._change(row, {"history_anchor": anchor})

    async def unprocessed(self, row: SendRow, until: datetime, reason: str, detail: str) -> None:
        """Commit that the submission surely had no effect: the send is queued as before."""
        values = {"state": State.QUEUED, "submitted_at": None, "submissions": 0}
        await self._change(row, {**values, "due_at": until, "reason": reason, "detail": detail})

    async def uncounted(
        self, row: SendRow, earlier: datetime | None, until: datetime, reason: str, detail: str
    ) -> None:
        """Commit that a repeated submission surely had no effect: the earlier one stays in doubt from its time on."""
        values = {
            "submitted_at": earlier or row.submitted_at,
            "submissions": row.submissions - 1,
            "attempts": row.attempts + 1,
        }
        await self._change(row, {**values, "due_at": until, "reason": reason, "detail": detail})

    async def wait(
        self, row: SendRow, until: datetime, reason: str = "", detail: str = "", *, failed: int = 0, anchor: str = ""
    ) -> None:
        """Commit when the send is acted on next, and the place in the history that a search has reached."""
        values: dict[str, Any] = {"due_at": until, "attempts": row.attempts + failed}
        if anchor:
            values["history_anchor"] = anchor
        if reason:
            values |= {"reason": reason, "detail": detail}
        await self._change(row, values)

    async def cleared(self, row: SendRow) -> None:
        """Commit that nothing is left to do for a send that was not sent."""
        await self._change(row, {"due_at": None})

    async def hold_back(self, until: datetime) -> None:
        """Commit that no unsubmitted send of the account is acted on before a time."""
        async with self._transactions.fenced(self._tenant_id, self._fence) as connection:
            await due_sends.hold_back(connection, self._tenant_id, until)

    async def put_off(self, row: SendRow, until: datetime, attempts: int) -> None:
        """Commit when the send is acted on next, whatever its state is now; after so many attempts it ends."""
        ended = None
        async with self._transactions.fenced(self._tenant_id, self._fence) as connection:
            current = await due_sends.put_off(connection, row.send_id, until)
            if current is not None and current.attempts >= attempts:
                ended = await end(connection, current, self._clock.now(), "UNEXPECTED")
        if ended is not None:
            SENDS.labels(row.provider, ended.state.name.lower()).inc()

    async def broken(self, row: SendRow) -> None:
        """Commit that a send whose content does not open is not acted on any more."""
        async with self._transactions.fenced(self._tenant_id, self._fence) as connection:
            await end(connection, row, self._clock.now(), "its sealed content does not open", SealBroken.reason)

    async def sent(self, row: SendRow, copy: MailCopy | None) -> None:
        """Commit that the mail was sent, with the ids that the provider stamped."""
        await self._finish(row, State.SENT, copy=copy)

    async def kept(self, row: SendRow) -> None:
        """Commit that the draft was asked for and is there."""
        await self._finish(row, State.DRAFTED)

    async def failed(self, row: SendRow, reason: str, detail: str) -> None:
        """Commit that the mail was not sent and is not tried any more; see `finish` for one sent again."""
        await self._finish(row, State.FAILED, reason=reason, detail=detail)

    async def uncertain(self, row: SendRow, detail: str) -> None:
        """Commit that the provider cannot tell: a person decides."""
        await self._finish(row, State.UNCERTAIN, reason=IN_DOUBT, detail=detail)

    async def pause(self, per_minute: int) -> datetime | None:
        """Return when the account may send its next mail; None when it may now."""
        minute = timedelta(minutes=1)
        async with self._transactions.reading() as connection:
            since = self._clock.now() - minute
            submitted, first = await due_sends.submitted_since(connection, self._tenant_id, since)
        return first + minute if first is not None and submitted >= per_minute else None

    async def _change(self, row: SendRow, values: Mapping[str, Any]) -> SendRow:
        expected = UNSUBMITTED if row.state in UNSUBMITTED else (row.state,)
        async with self._transactions.fenced(self._tenant_id, self._fence) as connection:
            changed = await sends.change(connection, row.send_id, expected, values)
        if changed is None:
            raise SendChangedError
        return changed

    async def _finish(self, row: SendRow, state: State, **outcome: Any) -> None:
        async with self._transactions.fenced(self._tenant_id, self._fence) as connection:
            finished = await finish(connection, row, state, self._clock.now(), **outcome)
        if finished is None:
            raise SendChangedError
        SENDS.labels(row.provider, finished.state.name.lower()).inc()
