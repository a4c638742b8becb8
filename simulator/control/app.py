"""The control API over HTTP, on loopback and in the clear."""

import json
from collections.abc import Sequence
from inspect import isawaitable
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator.control.actions import Action, Actions, ControlError
from simulator.http import JSON
from simulator.mailboxes.mailbox import MailboxError


def control_app(actions: Actions, others: Sequence[Route] = ()) -> Starlette:
    """Return the application that serves all actions, and other routes."""
    routes = [Route(path, _endpoint(actions.by_name[name]), methods=[method]) for method, path, name in actions.routes]
    handlers: dict[Any, Any] = {
        ControlError: lambda _request, error: _refusal(error.status, str(error)),
        MailboxError: lambda _request, error: _refusal(404 if error.kind == "not_found" else 400, str(error)),
        ValidationError: lambda _request, error: _refusal(400, str(error)),
        ValueError: lambda _request, error: _refusal(400, str(error)),
        KeyError: lambda _request, error: _refusal(400, f"{error} is missing"),
        TypeError: lambda _request, error: _refusal(400, str(error)),
    }
    return Starlette(routes=[*routes, *others], exception_handlers=handlers)


def _endpoint(action: Action) -> Any:
    async def serve(request: Request) -> Response:
        result = action(await _body(request))
        return JSONResponse(await result if isawaitable(result) else result)

    return serve


async def _body(request: Request) -> JSON:
    """Return query, JSON body and path parameters as one, the later winning."""
    raw = await request.body()
    body = json.loads(raw) if raw.strip() else {}
    if isinstance(body, list):
        body = {"messages": body}
    if not isinstance(body, dict):
        raise ControlError(400, "the body is not a JSON object")
    return {**dict(request.query_params), **body, **request.path_params}


def _refusal(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)
