"""The result of fetching a message: the message, nothing, or a failure."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from services.meshkit.metrics import UNEXPECTED
from services.message.fields import exceeds
from services.processor.mail.sources.gmail_mapping import detached_bodies, put_in_bodies
from services.processor.mail.sources.mapped import MappedMessage
from services.processor.mail.sources.mapping_child import NO_JSON, NO_MESSAGE, TOO_MANY
from services.processor.mail.sources.mapping_pool import MappingError, MappingPool
from services.processor.mailbox.failures import Remedy, Rule, SourceError, classify
from services.processor.mailbox.provider_http import JSON
from services.processor.metrics import LONG_MAPPINGS, STEP_SECONDS
from services.providers.names import GOOGLEWS

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Found:
    """The message exists.

    Args:
        mapped: The message.
        unread: The failure that kept its report of a bounce or complaint from being read; None without one.
    """

    mapped: MappedMessage
    unread: SourceError | None = None


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


async def mapped_by(
    map_message: Callable[[JSON], MappedMessage],
    provider: str,
    raw: object,
    bodies: Mapping[str, str | bytes] | None = None,
) -> Finding:
    """Map a provider's object; an object that cannot be mapped is a failure of that message alone.

    Args:
        map_message: The provider's mapping: pure, and safe to run in a thread.
        provider: Its name. A long object is mapped by this provider's mapping in a process.
        raw: The object as it was parsed, which must not be changed until the call returns; or an answer too long to be
            parsed here.
        bodies: See `MappingPool.map`. They are put into an object that is mapped here.
    """
    if isinstance(raw, bytes):
        return await _mapped_in_process(provider, raw, bodies or {})
    if not isinstance(raw, dict) or not raw.get("id"):
        return Failed(classify(provider, 422, [NO_MESSAGE]))
    given = bodies or {}
    if any(isinstance(body, bytes) for body in given.values()):
        return await _mapped_in_process(provider, raw, given)
    if given:
        put_in_bodies(raw, {name: body for name, body in given.items() if isinstance(body, str)})
    if not exceeds(raw, MAX_ON_LOOP_CHARACTERS):
        return _mapped(map_message, provider, raw)
    if not exceeds(raw, MAX_IN_THREAD_CHARACTERS):
        return await asyncio.get_running_loop().run_in_executor(_mapper, _mapped, map_message, provider, raw)
    return await _mapped_in_process(provider, raw, {})


async def held_back(raw: JSON | bytes) -> list[str]:
    """List the bodies that Gmail holds back of a mail, by attachment id.

    Args:
        raw: See `mapped_by`.

    Raises:
        SourceError: The mail cannot be read.
    """
    if isinstance(raw, bytes):
        try:
            return await LONG_MAILS.detached(raw) if b'"attachmentId"' in raw else []
        except MappingError as exc:
            raise unread(GOOGLEWS, exc) from exc
    if not exceeds(raw, MAX_ON_LOOP_CHARACTERS):
        return _detached(raw)
    return await asyncio.get_running_loop().run_in_executor(_mapper, _detached, raw)


def _detached(raw: JSON) -> list[str]:
    return [attachment_id for attachment_id, _ in detached_bodies(raw)]


async def _mapped_in_process(provider: str, raw: JSON | bytes, bodies: Mapping[str, str | bytes]) -> Finding:
    try:
        with STEP_SECONDS.labels("normalize").time():
            found = Found(await LONG_MAILS.map(provider, raw, bodies))
    except MappingError as exc:
        LONG_MAPPINGS.labels(exc.outcome).inc()
        logger.error("long message not mapped", provider=provider, error=exc.word)  # noqa: TRY400
        return Failed(unread(provider, exc))
    LONG_MAPPINGS.labels("mapped").inc()
    return found


def unread(provider: str, error: MappingError) -> SourceError:
    """Return the failure of a message that no process could read.

    Args:
        provider: The provider's name.
        error: The process's failure.
    """
    if error.word in _STATUSES:
        return classify(provider, _STATUSES[error.word], [error.word])
    rule = _MAPPED_LATER if error.is_passing else _NOT_MAPPED
    return SourceError(rule, f"the message could not be mapped: {error.word}", code=error.word)


_STATUSES = {NO_JSON: 0, NO_MESSAGE: 422, TOO_MANY: 413}
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
