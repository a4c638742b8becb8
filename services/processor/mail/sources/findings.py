"""The result of fetching a message: the message, nothing, or a failure."""

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


def mapped_by(map_message: Callable[[JSON], MappedMessage], provider: str, raw: object) -> Finding:
    """Map a provider's object; an object that cannot be mapped is a failure of that message alone."""
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
    """Return the finding that a failed GET of one message means.

    Raises:
        SourceError: The failure itself, when it concerns the whole mailbox.
    """
    if error.remedy is Remedy.MISSING:
        return Missing()
    if error.remedy in (Remedy.LATER, Remedy.PERMANENT, Remedy.CURSOR_LOST):
        return Failed(error)
    raise error
