"""The result of fetching a message: the message, nothing, or a failure."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from services.meshkit.metrics import UNEXPECTED
from services.processor.mail.message.fields import exceeds
from services.processor.mail.sources.mapped import MappedMessage
from services.processor.mail.sources.mapping_pool import MappingError, MappingPool
from services.processor.mailbox.failures import Remedy, Rule, SourceError, classify
from services.processor.mailbox.provider_http import JSON
from services.processor.metrics import LONG_MAPPINGS, STEP_SECONDS

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Found:
    """The message exists."""

    mapped: MappedMessage


@dataclass(frozen=True)
class Missing:
    """The provider knows no such message (any more, or yet).

    Args:
        is_certain: Whether the provider itself has reported the deletion; then no second look-up is needed.
    """

    is_certain: bool = False


@dataclass(frozen=True)
class Failed:
    """The message could not be fetched."""

    error: SourceError


Finding: TypeAlias = Found | Missing | Failed


@dataclass(frozen=True)
class Fetched:
    """The result of fetching several messages.

    Args:
        findings: The findings by message id, without the messages that the provider did not answer about.
        failure: The failure of the whole mailbox that kept the provider from answering about those.
    """

    findings: Mapping[str, Finding]
    failure: SourceError | None = None


MAX_ON_LOOP_CHARACTERS = 8 * 1024
"""A longer object is mapped in a thread: the slowest object of this length takes about 20 ms, and none may hold the
event loop for 50 ms."""
MAX_IN_THREAD_CHARACTERS = 64 * 1024
"""A longer object is mapped in a process: the sanitizer holds the interpreter's lock while it runs, at this length for
at most 27 ms, and ten times the length takes ten times as long."""
# One thread: mapping holds the interpreter's lock, so that more of them would only make the event loop wait longer.
_mapper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mapping")
LONG_MAILS = MappingPool()
"""The processes for long mails. A worker ends the idle ones from time to time, and all of them when it stops."""


async def mapped_by(map_message: Callable[[JSON], MappedMessage], provider: str, raw: object) -> Finding:
    """Map a provider's object; an object that cannot be mapped is a failure of that message alone.

    Args:
        map_message: The provider's mapping: pure, and safe to run in a thread.
        provider: Its name. A long object is mapped by this provider's mapping in a process.
        raw: The object as it was parsed; it must not be changed until the call returns.
    """
    if not isinstance(raw, dict) or not raw.get("id"):
        return Failed(classify(provider, 422, ["message_is_no_object"]))
    if not exceeds(raw, MAX_ON_LOOP_CHARACTERS):
        return _mapped(map_message, provider, raw)
    if not exceeds(raw, MAX_IN_THREAD_CHARACTERS):
        return await asyncio.get_running_loop().run_in_executor(_mapper, _mapped, map_message, provider, raw)
    return await _mapped_in_process(provider, raw)


async def _mapped_in_process(provider: str, raw: JSON) -> Finding:
    try:
        with STEP_SECONDS.labels("normalize").time():
            found = Found(await LONG_MAILS.map(provider, raw))
    except MappingError as exc:
        LONG_MAPPINGS.labels(exc.outcome).inc()
        logger.error("long message not mapped", provider=provider, error=exc.word)  # noqa: TRY400
        rule = _MAPPED_LATER if exc.is_passing else _NOT_MAPPED
        return Failed(SourceError(rule, f"the message could not be mapped: {exc.word}", code=exc.word))
    LONG_MAPPINGS.labels("mapped").inc()
    return found


_MAPPED_LATER = Rule(Remedy.LATER, "SERVICE_UNAVAILABLE")
_NOT_MAPPED = Rule(Remedy.PERMANENT, "MESSAGE_UNREADABLE")


def _mapped(map_message: Callable[[JSON], MappedMessage], provider: str, raw: JSON) -> Finding:
    try:
        with STEP_SECONDS.labels("normalize").time():
            return Found(map_message(raw))
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as exc:
        logger.exception("message not mapped", provider=provider)
        UNEXPECTED.labels("mapping").inc()
        return Failed(classify(provider, 422, [type(exc).__name__]))
