"""Turns what a handler raises into a status. The only place that catches what nobody foresaw."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import structlog
from grpc_status import rpc_status
from typing_extensions import override

from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from services.meshkit.interceptors.base import Call, Interceptor
from services.meshkit.metrics import UNEXPECTED
from services.meshkit.status import from_rpc_error, is_ours, to_status, unexpected

logger = structlog.get_logger(__name__)


class ErrorStatusInterceptor(Interceptor):
    """Answers a `MeshError` as it is, and anything else as INTERNAL with an id that is found in the log.

    What another service has told us is passed on, unless it says that our own call was wrong: that is our fault and
    not our caller's.
    """

    @override
    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        try:
            yield
        except (grpc.aio.AbortError, grpc.aio.UsageError):
            raise
        except Exception as exc:  # noqa: BLE001 - the outermost net; logged and counted in `_answer`
            await call.context.abort_with_status(rpc_status.to_status(to_status(_answer(exc, call.method))))


def _answer(exc: Exception, method: str) -> MeshError:
    error = from_rpc_error(exc) if isinstance(exc, grpc.RpcError) else exc
    if isinstance(error, MeshError) and error.reason and not is_ours(error):
        return error
    error_id = new_id()
    UNEXPECTED.labels(method).inc()
    logger.error("unexpected error", error_id=error_id, method=method, exc_info=exc)
    return unexpected(error_id)
