"""Changing mails by Gmail: labels alone, up to a thousand mails in one call whose answer is empty."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from urllib.parse import quote

from mailmesh.processor.v1 import message_service_pb2 as pb2
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, Rule, SourceError
from services.processor.messages.content import labels_of
from services.processor.messages.mailbox import OF_THE_MAILBOX, Applied, Plan, result_of
from services.processor.messages.rows import Outcome, OwnChange, Result
from services.providers.failures import Meaning

BATCH_UNITS, ONE_UNITS = 50, 5
_ONE_BY_ONE = 10
"""The number of mails whose own calls cost as much of the quota as one call of all."""
_MAX_WAIT_SECONDS = 2.0
_FIELDS = ("is_read", "label_ids")


class GmailMessages:
    """One Google mailbox whose mails are changed; implements `ModifiableMailbox`.

    Args:
        access: The mailbox's access to Gmail.
        base_url: The base URL of Gmail's API, with its version.
        take_quota: Takes units of the tenant's quota, and returns the seconds to wait.
        most: The number of mails in one call, at most 1,000.
    """

    def __init__(
        self, access: MailboxAccess, base_url: str, take_quota: Callable[[str, int], float], most: int = 1000
    ) -> None:
        self._access = access
        self._base = f"{base_url}/users/me/messages"
        self._take_quota = take_quota
        self.most = most

    async def plan(self, change: pb2.MessageChange, message_ids: Sequence[str]) -> Plan:
        """See `ModifiableMailbox.plan`: the labels are the same for all mails, whatever each of them has."""
        added, removed = (tuple(labels) for labels in labels_of(change))
        return Plan([OwnChange(one, _FIELDS, added, removed) for one in message_ids])

    async def apply(self, changes: Sequence[OwnChange]) -> Applied:
        """See `ModifiableMailbox.apply`. One mail may fail the call of all: it is found by halves.

        Gmail refuses with 403 what it refuses for the whole account: no mail has rights of its own.
        """
        if not changes:
            return Applied()
        ids = [one.message_id for one in changes]
        body = {**_labels(changes[0]), "ids": ids}
        try:
            await self._call("modify", f"{self._base}/batchModify", BATCH_UNITS, body)
        except SourceError as exc:
            return await self._parts(changes, exc)
        return Applied(dict.fromkeys(ids, Result(Outcome.DONE)))

    async def _parts(self, changes: Sequence[OwnChange], error: SourceError) -> Applied:
        """Make changes that failed together in parts, where the failure may be that of one mail."""
        if error.remedy is not Remedy.MISSING and error.meaning is not Meaning.FINAL:
            raise error
        if len(changes) <= _ONE_BY_ONE:
            return await self._one_by_one(changes)
        middle = len(changes) // 2
        first = await self._half(changes[:middle])
        if first.failure is not None:
            return first
        second = await self._half(changes[middle:])
        return Applied({**first.results, **second.results}, second.failure)

    async def _half(self, changes: Sequence[OwnChange]) -> Applied:
        try:
            return await self.apply(changes)
        except SourceError as exc:  # a failure of the whole mailbox: what the other half has reached is kept
            return Applied({}, exc)

    async def _one_by_one(self, changes: Sequence[OwnChange]) -> Applied:
        results: dict[str, Result] = {}
        for one in changes:
            url = f"{self._base}/{quote(one.message_id, safe='')}/modify"
            try:
                await self._call("modify_one", url, ONE_UNITS, _labels(one))
            except SourceError as exc:
                result = _result_of(exc)
                if result is None:
                    return Applied(results, exc)
                results[one.message_id] = result
            else:
                results[one.message_id] = Result(Outcome.DONE)
        return Applied(results)

    async def _call(self, operation: str, url: str, units: int, body: dict[str, object]) -> None:
        seconds = self._take_quota(self._access.tenant_id, units)
        if seconds > _MAX_WAIT_SECONDS:
            rule = Rule(Remedy.THROTTLED, "PROVIDER_THROTTLED")
            raise SourceError(rule, "the mailbox's own quota is used up", timedelta(seconds=seconds))
        if seconds:
            await asyncio.sleep(seconds)
        await self._access.call(operation, url, method="POST", body=body, is_empty=True)


def _result_of(error: SourceError) -> Result | None:
    """Return the outcome of one mail; None where the failure is not that of the mail."""
    if error.meaning is Meaning.FORBIDDEN or error.remedy in OF_THE_MAILBOX:
        return None
    return result_of(error)


def _labels(change: OwnChange) -> dict[str, object]:
    return {"addLabelIds": list(change.labels_added), "removeLabelIds": list(change.labels_removed)}
