"""Read content in a process without rights, and count the outcome."""

from services.meshkit.errors import Overloaded
from services.primitives.errors import ContentUnreadable, DocumentFormatUnknown, ModelNotInstalled, ReaderNotInstalled
from services.primitives.failure import CAUSES, ContentError
from services.primitives.metrics import CONTENT_SECONDS, CONTENTS
from services.primitives.sandbox.pool import Sandbox

_REFUSALS = {
    "format_unknown": DocumentFormatUnknown,
    "model_missing": ModelNotInstalled,
    "reader_missing": ReaderNotInstalled,
}


async def read_content(sandbox: Sandbox, operation: str, content: bytes, *, is_alone: bool = False) -> bytes:
    """Read content in a process without rights; count the outcome.

    Args:
        sandbox: The processes without rights.
        operation: The operation of one of them on the content.
        content: The content.
        is_alone: Whether the process ends afterwards.

    Raises:
        Overloaded: No process became free in time.
        ContentUnreadable: The content cannot be read; the metadata has the cause.
        DocumentFormatUnknown: The document is of no known format.
        ReaderNotInstalled: The extra that reads it is missing.
        ModelNotInstalled: The extra that classifies is missing.
    """
    outcome = "cancelled"
    with CONTENT_SECONDS.labels(operation).time():
        try:
            answer = await sandbox.run(operation, content, is_alone=is_alone)
            outcome = "read"
        except Overloaded:
            outcome = "overloaded"
            raise
        except ContentError as exc:
            outcome = exc.cause if exc.cause in CAUSES else "malformed"
            if outcome in _REFUSALS:
                raise _REFUSALS[outcome] from exc
            raise ContentUnreadable(metadata={"cause": outcome}) from exc
        finally:
            CONTENTS.labels(operation, outcome).inc()
    return answer
