"""What looking for a message gave: the message, nothing, or a failure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from services.meshkit.metrics import UNEXPECTED
from services.processor.mail.sources.mapped import MappedMessage
from services.processor.mailbox.failures import Remedy, SourceError, classify
from services.processor.mailbox.provider_http import JSON
from services.processor.metrics import STEP_SECONDS

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Found:
    """The message is there."""

    mapped: MappedMessage


@dataclass(frozen=True)
class Missing:
    """The provider knows no such message (any more, or yet).

    Args:
        is_certain: The provider itself has said that it was deleted; no need to look again.
    """

    is_certain: bool = False


@dataclass(frozen=True)
class Failed:
    """The message could not be had."""

    error: SourceError


Finding: TypeAlias = Found | Missing | Failed


@dataclass(frozen=True)
class Fetched:
    """What fetching several messages gave.

    Args:
        findings: By id. Messages about which nothing was learned are left out.
        trouble: What kept the provider from answering about those: it concerns the whole mailbox.
    """

    findings: Mapping[str, Finding]
    trouble: SourceError | None = None


def mapped_by(map_message: Callable[[JSON], MappedMessage], provider: str, raw: object) -> Finding:
    """Maps a provider's object; one that cannot be mapped is a failure of that message alone."""
    if not isinstance(raw, dict) or not raw.get("id"):
        return Failed(classify(provider, 422, ["message_is_no_object"]))
    try:
        with STEP_SECONDS.labels("normalize").time():
            return Found(map_message(raw))
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as exc:
        logger.exception("message not mapped", provider=provider)
        UNEXPECTED.labels("mapping").inc()
        return Failed(classify(provider, 422, [type(exc).__name__]))


def finding_of(error: SourceError) -> Finding:
    """What a failed GET of one message says about it.

    Raises:
        SourceError: The failure itself, when it concerns the whole mailbox.
    """
    if error.remedy is Remedy.MISSING:
        return Missing()
    if error.remedy in (Remedy.LATER, Remedy.PERMANENT, Remedy.CURSOR_LOST):
        return Failed(error)
    raise error
