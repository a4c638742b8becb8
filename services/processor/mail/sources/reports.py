"""Read what a bounce or a complaint reports, from the mail in MIME: neither provider gives the parts that say it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import structlog

from mailmesh.mail.v1 import message_pb2
from services.meshkit.metrics import UNEXPECTED
from services.message.report_parts import MAX_REPORT_BYTES
from services.message.reports import read_report
from services.processor.mail.sources.failure_scope import FailureScope
from services.processor.mail.sources.findings import Finding, Found
from services.processor.mailbox.decoding import NotDecodableError
from services.processor.mailbox.failures import SourceError

logger = structlog.get_logger(__name__)

_KINDS = frozenset({message_pb2.AUTOMATION_KIND_BOUNCE, message_pb2.AUTOMATION_KIND_COMPLAINT})
_TRIES = 3
_PAUSE_SECONDS = 1.0
_READ_SECONDS = 30.0
"""The mailbox's other mail waits for a read, so it ends before the provider's stream would."""


async def with_report(
    finding: Finding,
    open_raw: Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]],
    message_id: str,
    scope: FailureScope,
) -> Finding:
    """Add its report to a mail that is a bounce or a complaint; any other finding is returned as it is.

    A mail whose MIME cannot be read goes out without a report: it must not hold its mailbox back.

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
    for number in range(_TRIES):
        await asyncio.sleep(_PAUSE_SECONDS if number else 0)
        try:
            raw = await _beginning(open_raw)
        except SourceError as exc:
            await scope.finding_of(key, exc)
            logger.warning("report not read", error=exc.reason, detail=exc.detail)
        except NotDecodableError:
            logger.warning("report not read", error="answer_is_no_content")
        except TimeoutError:
            logger.warning("report not read", error="too_slow")
        else:
            scope.succeeded(key)
            _add(finding, raw)
            break
    return finding


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
