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
from services.processor.mailbox.failures import SourceError, classify
from services.processor.mailbox.provider_http import JSON
from services.processor.metrics import STEP_SECONDS

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
# One thread: mapping holds the interpreter's lock, so that more of them would only make the event loop wait longer.
_mapper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mapping")


async def mapped_by(map_message: Callable[[JSON], MappedMessage], provider: str, raw: object) -> Finding:
    """Map a provider's object; an object that cannot be mapped is a failure of that message alone.

    Args:
        map_message: The provider's mapping: pure, and safe to run in a thread.
        provider: Its name.
        raw: The object as it was parsed; it must not be changed until the call returns.
    """
    if not isinstance(raw, dict) or not raw.get("id"):
        return Failed(classify(provider, 422, ["message_is_no_object"]))
    if not exceeds(raw, MAX_ON_LOOP_CHARACTERS):
        return _mapped(map_message, provider, raw)
    return await asyncio.get_running_loop().run_in_executor(_mapper, _mapped, map_message, provider, raw)


def _mapped(map_message: Callable[[JSON], MappedMessage], provider: str, raw: JSON) -> Finding:
    try:
        with STEP_SECONDS.labels("normalize").time():
            return Found(map_message(raw))
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as exc:
        logger.exception("message not mapped", provider=provider)
        UNEXPECTED.labels("mapping").inc()
        return Failed(classify(provider, 422, [type(exc).__name__]))
