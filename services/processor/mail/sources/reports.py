"""Read what a bounce or a complaint reports, from the mail in MIME: neither provider gives the parts that say it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import structlog

from mailmesh.mail.v1 import message_pb2
from services.meshkit.metrics import UNEXPECTED
from services.message.report_parts import MAX_REPORT_BYTES
from services.message.reports import read_report
from services.processor.mail.sources.failure_scope import FailureScope
from services.processor.mail.sources.findings import Finding, Found
from services.processor.mailbox.decoding import NotDecodableError
from services.processor.mailbox.failures import Remedy, Rule, SourceError

logger = structlog.get_logger(__name__)

_KINDS = frozenset({message_pb2.AUTOMATION_KIND_BOUNCE, message_pb2.AUTOMATION_KIND_COMPLAINT})
_READ_SECONDS = 30.0
"""The mailbox's other mail waits for a read, so it ends before the provider's stream would."""
_LATER = Rule(Remedy.LATER, "PROVIDER_UNAVAILABLE")


async def with_report(
    finding: Finding,
    open_raw: Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]],
    message_id: str,
    scope: FailureScope,
) -> Finding:
    """Add its report to a mail that is a bounce or a complaint; any other finding is returned as it is.

    A mail whose MIME cannot be read goes on without a report, and with the failure: it must not hold its mailbox back.
    The report is read once, for at most 30 seconds; the lookups of the mailbox retry it.

    Args:
        finding: The result of the fetch.
        open_raw: Opens the mail in MIME.
        message_id: The provider's id.
        scope: Tells the failure of one message from that of its mailbox.

    Raises:
        SourceError: The failure of the whole mailbox.
    """
    if not isinstance(finding, Found) or finding.mapped.message.automation not in _KINDS:
        return finding
    key = f"report:{message_id}"  # the mail itself is fetched between two throttled reads of its report
    try:
        raw = await _beginning(open_raw)
    except SourceError as exc:
        await scope.finding_of(key, exc)
        return _unread(finding, exc)
    except NotDecodableError:
        return _unread(finding, SourceError(_LATER, "the mail in MIME is no content", code="answer_is_no_content"))
    except TimeoutError:
        return _unread(finding, SourceError(_LATER, "the mail in MIME came too slowly", code="too_slow"))
    scope.succeeded(key)
    _add(finding, raw)
    return finding


def _unread(finding: Found, error: SourceError) -> Found:
    logger.warning("report not read", error=error.reason, detail=error.detail)
    return replace(finding, unread=error)


def _add(finding: Found, raw: bytes) -> None:
    """Add the report. A fault of our reader must not hold the mailbox back either."""
    try:
        report = read_report(raw)
    except Exception:  # it is counted and logged with its place
        UNEXPECTED.labels("report").inc()
        logger.exception("report not read")
        return
    if report is not None:
        finding.mapped.message.report.CopyFrom(report)


async def _beginning(open_raw: Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]]) -> bytes:
    held = bytearray()
    async with asyncio.timeout(_READ_SECONDS), open_raw() as pieces:
        async for piece in pieces:
            held += piece
            if len(held) >= MAX_REPORT_BYTES:
                break
    return bytes(held[:MAX_REPORT_BYTES])
