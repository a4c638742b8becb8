"""Turns a handler's exception into a status. The only place that catches unhandled exceptions."""

from collections.abc import Awaitable, Callable
from typing import NoReturn

import grpc
import structlog
from grpc_status import rpc_status

from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from services.meshkit.interceptors.call import Call
from services.meshkit.log_budget import LogBudget
from services.meshkit.metrics import UNEXPECTED
from services.meshkit.status import from_rpc_error, is_ours, to_status, unexpected

logger = structlog.get_logger(__name__)

# A caller can repeat the request that fails: a few tracebacks a minute tell as much as all of them.
_TRACEBACKS = LogBudget(lines=5, seconds=60)


Explain = Callable[[MeshError], Awaitable[MeshError]]
"""Returns a failure with a better sentence and metadata, or the failure itself. It raises nothing."""


async def unexplained(error: MeshError) -> MeshError:
    """Return the failure itself."""
    return error


async def refuse(call: Call, exc: Exception, explain: Explain = unexplained) -> NoReturn:
    """End a call whose handler has raised.

    A `MeshError` is answered as it is, anything else as INTERNAL with an id. The log has the id and the traceback of
    the first five failures of a kind in a minute, and the number of the others. The failure of a called service is
    passed on, unless it means that our own call was wrong: that is our fault and not our caller's.

    Args:
        call: The call.
        exc: The exception.
        explain: Explains a failure that the handler has raised.
    """
    if isinstance(exc, (grpc.aio.AbortError, grpc.aio.UsageError)):
        raise exc
    answer = await explain(_answer(exc, call.method))
    await call.context.abort_with_status(rpc_status.to_status(to_status(answer)))


def _answer(exc: Exception, method: str) -> MeshError:
    error = from_rpc_error(exc) if isinstance(exc, grpc.RpcError) else exc
    if isinstance(error, MeshError) and error.reason and not is_ours(error):
        return error
    error_id = new_id()
    UNEXPECTED.labels(method).inc()
    left_out = _TRACEBACKS.admit((method, type(exc)))
    if left_out is not None:
        logger.error("unexpected error", error_id=error_id, method=method, left_out=left_out, exc_info=exc)
    return unexpected(error_id)
